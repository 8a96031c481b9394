"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import duckstore
from duckstore.schema import RELATIONS
from tests.readme import README, rewritten, timeless, with_catalogue
from tests.readme_types import with_types


def test_every_example_prints_what_the_readme_shows() -> None:
    """`python -m tests.readme` brings the README up to date."""
    _, results = rewritten(README.read_text(encoding="utf-8"))
    assert results
    for example, printed in results:
        if example.printed:
            assert timeless(printed) == timeless(example.printed), example.command


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_relation_is_described(relation: str) -> None:
    assert re.search(rf"^\| `{relation}` \|", README.read_text(encoding="utf-8"), re.M)


def test_the_list_of_queries_is_that_of_the_catalogue() -> None:
    """`python -m tests.readme` brings it up to date."""
    text = README.read_text(encoding="utf-8")
    assert with_catalogue(text) == text
    assert with_types(text) == text


def test_every_command_is_named() -> None:
    text = README.read_text(encoding="utf-8")
    from duckstore.cli import cli

    for name in cli.commands:
        assert f"`{name}" in text or f"duckstore {name}" in text, name


def test_the_ci_runs_the_readme_test_command() -> None:
    """The command that a reader copies is the one that is run."""
    script = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert "<!-- tests -->" in script
    assert "<!-- tests -->\n```bash\n" in README.read_text(encoding="utf-8")


def test_the_public_names_are_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    for name in dir(duckstore.Store):
        if not name.startswith("_") and callable(getattr(duckstore.Store, name)):
            assert f".{name}(" in text or f"`{name}`" in text, name


def test_the_methods_of_a_session_are_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    for name in dir(duckstore.DuckDBSession):
        if not name.startswith("_") and callable(getattr(duckstore.DuckDBSession, name)):
            assert re.search(rf"\b{name}\(|`{name}`", text), name


def test_the_changelog_has_this_version() -> None:
    changelog = (Path(README).parent / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {duckstore.__version__}" in changelog
