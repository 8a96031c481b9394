"""What the HTML looks like, in a notebook of any theme.

Texts have the colour of the page around them. Lines and grounds are see-through grey, and the few
colours that mark a role or a failure are of middle brightness: each has a contrast of 3 or more to
white and to #111, so that nothing here need know which theme there is. Asking the system whether it
is dark would be wrong in a light notebook on a dark desktop. Jupyter's and VS Code's own colours
come first for what failed.
"""

from __future__ import annotations

from duckstore.display.markup import Markup, joined

__all__ = ["framed"]

_STYLE = """
.duckstore {color: inherit; line-height: 1.45; max-width: 62rem; overflow-wrap: anywhere;
  --duckstore-line: rgba(128, 128, 128, .35); --duckstore-ground: rgba(128, 128, 128, .1);
  --duckstore-user: #2a7fc0; --duckstore-model: #149070; --duckstore-point: #b07800;
  --duckstore-failed: var(--jp-error-color1, var(--vscode-errorForeground, #d5502a))}
.duckstore p, .duckstore pre, .duckstore table {margin: .25em 0; padding: 0}
.duckstore pre {background: none; border: 0; color: inherit; font: inherit; overflow: visible;
  white-space: pre-wrap; overflow-wrap: anywhere}
.duckstore summary {cursor: pointer; padding: .1em 0}
div.duckstore :not(pre) > code {background: none; color: inherit; font-size: inherit; padding: 0}
.duckstore .duckstore-head {font-size: 1.15em; font-weight: 600}
.duckstore .duckstore-facts, .duckstore .duckstore-quiet, .duckstore .duckstore-note {opacity: .75}
.duckstore .duckstore-turn {border-top: 1px solid var(--duckstore-line); font-size: .9em;
  margin: .9em 0 .3em; opacity: .75; padding-top: .3em}
.duckstore .duckstore-item {border-left: 3px solid var(--duckstore-line); margin: .35em 0;
  padding: 0 0 0 .7em}
.duckstore .duckstore-user {border-left-color: var(--duckstore-user)}
.duckstore .duckstore-model {border-left-color: var(--duckstore-model)}
.duckstore .duckstore-failed {border-left-color: var(--duckstore-failed)}
.duckstore .duckstore-error, .duckstore table.duckstore-rows td.duckstore-error {
  color: var(--duckstore-failed); font-weight: 600}
.duckstore .duckstore-point {border-left: 3px double var(--duckstore-point);
  background: var(--duckstore-ground); margin: .35em 0; padding: .15em .7em}
.duckstore .duckstore-way {border-left: 1px dashed var(--duckstore-line); margin: .2em 0 .2em .4em;
  padding-left: .7em}
.duckstore .duckstore-who {font-weight: 600}
.duckstore pre.duckstore-data {font-family: var(--jp-code-font-family, ui-monospace, monospace);
  font-size: .9em}
.duckstore table.duckstore-rows {border: 0; border-collapse: collapse; display: inline-table;
  margin: .4em 2.5em .4em 0; vertical-align: top; width: auto; font-size: inherit}
.duckstore table.duckstore-rows tr {background: none}
.duckstore table.duckstore-rows th, .duckstore table.duckstore-rows td {background: none; border: 0;
  border-bottom: 1px solid var(--duckstore-line); max-width: 24rem;
  padding: .15em 1.1em .15em 0; text-align: left; vertical-align: top; white-space: normal}
.duckstore table.duckstore-rows th {font-weight: 600}
.duckstore table.duckstore-rows .duckstore-number {text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap}
.duckstore table.duckstore-rows .duckstore-moment {white-space: nowrap}
"""


def framed(*parts: Markup | None) -> Markup:
    """Parts as one output of a notebook, with the style that they need."""
    style = "".join(line.strip() + " " for line in _STYLE.splitlines()).strip()
    return Markup(f'<div class="duckstore"><style>{style}</style>{joined(*parts)}</div>')
