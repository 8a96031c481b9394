"""The commands about branches: `branches`, `show --branch`, `show --tree`, `diff`, `edit`, ..."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import duckstore
from duckstore.cli import ExitCode, cli
from duckstore.cli.text import fit, width
from duckstore.outline import BranchInfo
from tests import rich as sample
from tests.owner import Keeper
from tests.samples import assistant, call, output, user
from tests.test_cli import call as ran
from tests.test_cli import data, failure
from tests.test_cli_process import after_one_line, environment, on_terminal, program

COMMANDS = ("branches s", "show s --tree", "diff s main b", "edit s --turn 1 x", "switch s main")
NASTY = "\x1b[2Jgone\r\n\x07"


def usage(*arguments: Any) -> str:
    """What is said of a wrong command line."""
    result = ran(*arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert result.stderr.startswith("Usage: ")
    return result.stderr.splitlines()[-1]


def done(*arguments: Any, **extra: Any) -> tuple[str, str]:
    """What a command that succeeds writes to standard output and to standard error."""
    result = ran(*arguments, **extra)
    assert result.exit_code == ExitCode.OK, result.stderr
    return result.stdout, result.stderr


def asked(answer: bytes, *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and complaints of a command whose standard input is a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "duckstore", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    os.close(theirs)
    os.write(ours, answer)
    try:
        written, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(ours)
    return process.returncode, written.decode(), complaints.decode()


def items_of(path: Path, session_id: str) -> list[Any]:
    with duckstore.open(path) as store:
        return store.conversation(session_id).items()


# branches ----------------------------------------------------------------------------------------


def test_branches_has_every_field_of_each_branch(filled: Path) -> None:
    with duckstore.open(filled) as store:
        expected = [asdict(branch) for branch in store.conversation("edited").branches()]
    rows = data("-d", filled, "branches", "edited")
    assert [list(row) for row in rows] == [[field.name for field in fields(BranchInfo)]] * 3
    for row, branch in zip(rows, expected, strict=True):
        moment = branch["created_at"].isoformat().replace("+00:00", "Z")
        assert row == branch | {"created_at": moment}
    lines = done("-d", filled, "branches", "edited", "--format", "csv")[0].splitlines()
    assert lines[0] == ",".join(rows[0])
    assert len(lines) == 4


def test_branches_as_a_table_fits_a_line(filled: Path) -> None:
    text = done("-d", filled, "branches", "forked")[0].splitlines()
    assert text[0].split() == [
        *("name", "kind", "parent", "fork_position", "items", "turns", "is_current", "created_at"),
    ]
    assert text[2].split()[:6] == ["main", "root", "0", "2", "1", "true"]
    assert text[3].split()[:8] == ["second", "try", "fork", "main", "1", "2", "1", "false"]
    marked = done("-d", filled, "branches", "forked", "--format", "markdown")[0]
    assert "| second try | fork | main | 1 | 2 | 1 | false |" in marked


def test_a_branch_that_was_deleted_is_not_listed(filled: Path) -> None:
    with duckstore.open(filled) as store:
        store.conversation("forked").delete_branch("second try")
    assert [row["name"] for row in data("-d", filled, "branches", "forked")] == ["main"]


# show --branch -----------------------------------------------------------------------------------


def test_show_of_a_branch_is_the_conversation_as_that_has_it(filled: Path) -> None:
    text, notes = done("-d", filled, "show", "edited", "--branch", "main~1")
    assert (text.splitlines()[1:], notes) == (["user", "  2 + 3?", "assistant", "  6"], "")
    rows = data("-d", filled, "show", "edited", "--branch", "main")
    assert [(row["position"], row["text"]) for row in rows] == [(1, "2 + 2?"), (2, "4")]
    assert [row["state"] for row in rows] == ["current", "current"]
    rows = data("-d", filled, "show", "edited", "--branch", "main~2")
    assert [row["state"] for row in rows] == ["current", "superseded"]


@pytest.mark.parametrize("session_id", ["orders", "edited", "forked", "compacted", "halves", "odd"])
def test_the_current_branch_is_what_show_shows(filled: Path, session_id: str) -> None:
    """The same columns and rows, but that positions are those on the branch's path."""
    rows = data("-d", filled, "show", session_id)
    own = data("-d", filled, "show", session_id, "--branch", "main")
    assert [row["position"] for row in own] == list(range(1, len(rows) + 1))
    assert [row | {"position": 0} for row in own] == [row | {"position": 0} for row in rows]
    assert list(own[0]) == list(rows[0])


def test_every_branch_is_shown_as_the_library_reads_it(filled: Path) -> None:
    with duckstore.open(filled) as store:
        for session_id in ("edited", "forked", "compacted"):
            talk = store.conversation(session_id)
            for branch in talk.branches():
                rows = data("-d", filled, "show", session_id, "--branch", branch.name)
                assert [json.loads(row["item"]) for row in rows] == talk.items(branch=branch.name)
                assert [row["position"] for row in rows] == list(range(1, branch.item_count + 1))


def test_positions_are_those_after_a_compaction_that_dropped_the_beginning(path: Path) -> None:
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user(str(number)) for number in range(6)])
        snapshot = talk.snapshot(3)
        assert snapshot is not None
        assert talk.replace_suffix(snapshot, 1, [user("sum")], lambda item: item["content"] < "2")
        kept = talk.items()
    rows = data("-d", path, "show", "s", "--branch", "main")
    assert [json.loads(row["item"]) for row in rows] == kept
    assert [row["position"] for row in rows] == list(range(1, len(kept) + 1))


def test_a_call_has_the_output_of_the_branch_that_is_shown(path: Path) -> None:
    """Two branches may have the same call with another output each."""
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user("go"), call("find", "c"), output("c", "first")])
        talk.pop()
        talk.add([output("c", "second")])
        talk.branch("open", at={"position": 2})
    for branch, words in (("main~1", "→ first"), ("main", "→ second"), ("open", "find: pending")):
        text = done("-d", path, "show", "s", "--branch", branch)[0]
        assert words in text
        assert text.count("→") == (branch != "open")


def test_show_of_a_branch_can_be_limited(filled: Path) -> None:
    rows = data("-d", filled, "show", "compacted", "--branch", "main~1", "--limit", "2")
    assert [(row["position"], row["text"]) for row in rows] == [(5, "2"), (6, "2")]


def test_an_empty_branch_says_so(filled: Path) -> None:
    with duckstore.open(filled) as store:
        store.conversation("forked").branch("empty", at={"position": 0})
    result = done("-d", filled, "show", "forked", "--branch", "empty")
    assert result == ("", "Session 'forked' has no items to show.\n")


# show --tree -------------------------------------------------------------------------------------


def ids(path: Path, session_id: str) -> list[int]:
    with duckstore.open(path) as store:
        found = store._access.rows(
            "select item_id from items where session_id = $id order by item_id", {"id": session_id}
        )
    return [row[0] for row in found.rows]


def test_the_tree_shows_every_alternative_with_what_follows_it(filled: Path) -> None:
    a, b, c, d, e = ids(filled, "edited")
    assert done("-d", filled, "show", "edited", "--tree") == (
        "├─ 1 of 2 · edit · main~1 [superseded]\n"
        "│  ── turn 1 ── [superseded]\n"
        f"│  {a} user: 2 + 3?\n"
        f"│  {b} assistant: 6\n"
        "└─ 2 of 2 · edit · main~2 ← current path\n"
        "── turn 1 ──\n"
        f"{c} user: 2 + 2?\n"
        "├─ 1 of 2 · regenerate · main~2 [superseded]\n"
        f"│  {d} assistant: 5\n"
        "└─ 2 of 2 · regenerate · main ← current path\n"
        f"{e} assistant: 4\n",
        "",
    )


def test_the_current_path_goes_straight_on_whichever_was_said_first(filled: Path) -> None:
    text = done("-d", filled, "show", "forked", "--tree")[0].splitlines()
    assert text[2:] == [
        "├─ 2 of 2 · fork · second try [superseded]",
        f"│  {ids(filled, 'forked')[2]} assistant: Knock knock.",
        "└─ 1 of 2 · fork · main ← current path",
        f"{ids(filled, 'forked')[1]} assistant: No.",
    ]


def test_the_tree_tells_what_is_archived_and_what_a_rewind_left(filled: Path) -> None:
    text = done("-d", filled, "show", "compacted", "--tree")[0]
    assert text.startswith("├─ 1 of 2 · compact · main~1 [archived]\n")
    assert "\n│  ── turn 2 ── [archived]\n" in text
    with duckstore.open(filled) as store:
        store.conversation("orders").rewind(2)
    text = done("-d", filled, "show", "orders", "--tree")[0]
    assert "\n── turn 2 ── [superseded]\n" in text
    assert text.startswith("── turn 1 ──\n")


def test_a_deleted_branch_is_marked_in_the_tree(filled: Path) -> None:
    with duckstore.open(filled) as store:
        store.conversation("forked").delete_branch("second try")
    text = done("-d", filled, "show", "forked", "--tree")[0]
    assert "second try (deleted) [superseded]\n" in text


@pytest.mark.parametrize("session_id", ["orders", "edited", "forked", "compacted", "odd"])
def test_the_tree_as_rows_agrees_with_the_library(filled: Path, session_id: str) -> None:
    """Every item once, after its parent, with the alternatives that the library tells."""
    rows = data("-d", filled, "show", session_id, "--tree")
    assert sorted(row["item_id"] for row in rows) == ids(filled, session_id)
    assert list(rows[0])[:8] == [
        *("item_id", "parent_item_id", "depth", "branch", "rank", "alternative_count", "kind"),
        "state",
    ]
    depths: dict[int | None, int] = {None: -1}
    for row in rows:
        assert row["depth"] == depths[row["parent_item_id"]] + 1
        depths[row["item_id"]] = row["depth"]
    with duckstore.open(filled) as store:
        expected = {
            found.item_id: (found.rank, found.kind, found.branch, found.is_current, found.text)
            for found in store.conversation(session_id).alternatives()
        }
    found = {
        row["item_id"]: (
            *(row["rank"], row["kind"], row["branch"], row["state"] == "current", row["text"]),
        )
        for row in rows
        if row["alternative_count"] > 1
    }
    assert found == expected


def test_the_tree_sends_no_control_characters_and_cuts_texts_to_a_line(path: Path) -> None:
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user(NASTY + "long " * 100), {"type": NASTY, "text": "あ" * 100}])
        talk.branch(NASTY + "b" * 200, at={"position": 1})
        talk.add([assistant("other")])
        talk.branch("empty")
    text = done("-d", path, "show", "s", "--tree")[0]
    assert not {"\x1b", "\x07", "\r"} & set(text)
    assert "user: \\x1b[2Jgone \\x07long long" in text
    assert max(map(width, text.splitlines())) <= 100
    assert text.count("…") == 3
    rows = data("-d", path, "show", "s", "--tree")
    assert rows[0]["text"] == NASTY + "long " * 100


def test_the_tree_is_the_same_words_on_a_terminal_cut_to_its_width(path: Path) -> None:
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user("Hello " * 40), assistant("あ" * 100)])
        talk.pop()
        talk.add([assistant("other [bold]words[/bold]")])
    plain = on_terminal("-d", path, "show", "s", "--tree", NO_COLOR="1")
    assert "\x1b" not in plain
    piped = done("-d", path, "show", "s", "--tree")[0]
    assert [line[:30] for line in plain.splitlines()] == [line[:30] for line in piped.splitlines()]
    assert 75 < max(map(width, plain.splitlines())) <= 80
    assert "[bold]words" in plain
    assert "\x1b[" in on_terminal("-d", path, "show", "s", "--tree")
    assert max(map(width, piped.splitlines())) > 80


@pytest.mark.parametrize("others", [["--limit", "1"], ["--branch", "b"], ["--superseded"]])
def test_the_tree_goes_with_no_choice_of_items(filled: Path, others: list[str]) -> None:
    text = usage("-d", filled, "show", "orders", "--tree", *others)
    assert "--tree" in text
    assert others[0] in text


def test_a_branch_is_not_shown_with_what_others_superseded(filled: Path) -> None:
    text = usage("-d", filled, "show", "edited", "--branch", "main", "--superseded")
    assert "--superseded" in text


def test_the_tree_of_nothing_is_empty(path: Path) -> None:
    with duckstore.open(path) as store:
        store.update_session("s", title="nothing yet")
    assert done("-d", path, "show", "s", "--tree") == ("", "Session 's' has no items to show.\n")
    assert data("-d", path, "show", "s", "--tree") == []


@pytest.mark.slow
def test_a_long_conversation_with_hundreds_of_edit_points_can_be_read(path: Path) -> None:
    """50,000 items and 300 edit points on top of each other: in time, and in few columns.

    Once as the path leads through all of them, and once when all of it was superseded.
    """
    with duckstore.open(path, durability="relaxed") as store:
        talk = store.conversation("s")
        for number in range(300):
            talk.add([user(f"question {number}"), assistant("wrong")])
            talk.pop()
            talk.add([assistant("right")])
        talk.add([user(f"item {number}") for number in range(50_000)])
    for _ in range(2):
        start = time.monotonic()
        text = done("-d", path, "show", "s", "--tree")[0]
        assert time.monotonic() - start < 20
        lines = text.splitlines()
        assert sum(line.lstrip("│ ").startswith("├─") for line in lines) >= 300
        assert sum("user: item" in line for line in lines) == 50_000
        assert max(len(line) - len(line.lstrip("│ ")) for line in lines) <= 9
        with duckstore.open(path) as store:
            store.conversation("s").edit(1, "from the beginning")
    start = time.monotonic()
    text = done("-d", path, "show", "s", "--tree", "--format", "csv")[0]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert time.monotonic() - start < 20
    assert max(int(row["depth"]) for row in rows) == 50_599


def test_alternatives_within_alternatives_are_never_indented_far(
    path: Path, tmp_path: Path
) -> None:
    """The worst that there is: 1023 items, each but the last ones with two alternatives after it.

    Ten of them follow each other, and the indentation is that of nine.
    """
    source = tmp_path / "tree.jsonl"
    items = [user(f"item {number}") for number in range(1023)]
    parents = [(number + 1) // 2 - 1 for number in range(1023)]
    source.write_text(json.dumps({"session_id": "s", "items": items, "parents": parents}) + "\n")
    done("-d", path, "import", source)
    lines = done("-d", path, "show", "s", "--tree")[0].splitlines()
    assert sum("user: item" in line for line in lines) == 1023
    assert max(len(line) - len(line.lstrip("│ ")) for line in lines) == 3 * 9


@pytest.mark.parametrize(
    ("text", "columns", "fitted"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("a\n b\tc", 9, "a b c"),
        ("\x1b[1m", 7, "\\x1b[1m"),
        ("ああ", 4, "ああ"),
        ("あああ", 5, "ああ…"),
        ("あああ", 4, "あ…"),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
    ],
)
def test_texts_are_cut_by_what_they_take_on_a_terminal(
    text: str, columns: int, fitted: str
) -> None:
    assert fit(text, columns) == fitted


# diff --------------------------------------------------------------------------------------------


def test_diff_tells_what_is_common_and_shows_both_sides(filled: Path) -> None:
    first, left, right = ids(filled, "forked")
    text, notes = done("-d", filled, "diff", "forked", "main", "second try")
    lines = text.splitlines()
    assert lines[0] == f"1 item in common, the last is {first} user: Tell a joke."
    assert lines[2].split() == ["main", "second", "try", "distance"]
    assert lines[4].split() == [str(left), "assistant", str(right), "assistant", "0.83"]
    assert lines[5].split() == ["No.", "Knock", "knock."]
    assert notes == ""
    assert max(map(len, lines)) <= 100


def test_diff_as_rows_has_both_sides_in_columns(filled: Path) -> None:
    result = ran("-d", filled, "diff", "edited", "main~1", "main", "--format", "json")
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "no items in common\n")
    rows = json.loads(result.stdout)
    names = [
        *("item_id", "turn_number", "item_type", "role", "agent_name", "tool_name", "text"),
    ]
    sides = [f"{side}_{name}" for side in ("left", "right") for name in names]
    assert list(rows[0]) == [*sides, "distance"]
    with duckstore.open(filled) as store:
        found = store.conversation("edited").diff("main~1", "main")
    assert [
        (row["left_text"], row["right_text"], row["left_item_id"], row["distance"]) for row in rows
    ] == [
        (row.left.text, row.right.text, row.left.item_id, row.distance)
        for row in found.rows
        if row.left and row.right
    ]


def test_diff_leaves_a_side_empty_where_only_one_has_an_item(filled: Path) -> None:
    rows = json.loads(
        done("-d", filled, "diff", "compacted", "main~1", "main", "--format", "json")[0]
    )
    alone = [row for row in rows if row["right_item_id"] is None]
    assert alone
    assert {(row["right_text"], row["distance"]) for row in alone} == {(None, None)}
    text = done("-d", filled, "diff", "compacted", "main~1", "main")[0]
    assert "count({})" in text


def test_diff_of_a_branch_with_itself_has_no_rows(filled: Path) -> None:
    text = done("-d", filled, "diff", "forked", "main", "main")[0]
    assert text.startswith("2 items in common")
    result = done("-d", filled, "diff", "forked", "main", "main", "--format", "jsonl")
    assert result[0] == ""


def test_diff_sends_no_control_characters_and_shows_long_words_whole(path: Path) -> None:
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user(NASTY), {"role": "assistant", "content": "x" * 300}])
        talk.branch(NASTY, at={"position": 1})
        talk.add([assistant(NASTY + "[bold]")])
    text = done("-d", path, "diff", "s", "main", NASTY)[0]
    assert not {"\x1b", "\x07", "\r"} & set(text)
    assert "\\x1b[2Jgone" in text
    assert "[bold]" in text
    assert text.count("x" * 20) > 1
    assert "…" not in text


def test_diff_on_a_terminal_has_colour_and_its_width(filled: Path) -> None:
    arguments = ("-d", filled, "diff", "forked", "main", "second try")
    assert "\x1b[" in on_terminal(*arguments)
    plain = on_terminal(*arguments, NO_COLOR="1")
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80


def test_a_closed_pipe_ends_diff_quietly(path: Path) -> None:
    """What rich draws ends as everything else does: with exit code 0 and no words."""
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user("words " * 50) for _ in range(2000)])
        talk.branch("b", at={"position": 0})
        talk.add([user("words")])
    command = [sys.executable, "-m", "duckstore", "-d", str(path), "diff", "s", "main", "b"]
    assert after_one_line(command) == (0, b"")


# edit --------------------------------------------------------------------------------------------


def test_edit_prints_the_new_item_and_says_where_the_old_one_is(filled: Path) -> None:
    text, notes = done("-d", filled, "edit", "forked", "--turn", "1", "Tell two.")
    assert int(text) == max(ids(filled, "forked"))
    assert text == f"{int(text)}\n"
    assert "'main'" in notes
    assert "'main~1'" in notes
    assert notes.count("\n") == 1
    assert items_of(filled, "forked") == [user("Tell two.")]
    shown = done("-d", filled, "show", "forked", "--branch", "main~1")[0]
    assert "Tell a joke." in shown


@pytest.mark.parametrize("style", ["json", "jsonl", "csv", "markdown"])
def test_edit_prints_the_new_item_in_each_format(filled: Path, style: str) -> None:
    text = done("-d", filled, "edit", "forked", "--turn", "1", "x", "--format", style)[0]
    item_id = max(ids(filled, "forked"))
    assert (
        text
        == {
            "json": f'{{"item_id": {item_id}}}\n',
            "jsonl": f'{{"item_id": {item_id}}}\n',
            "csv": f"item_id\n{item_id}\n",
            "markdown": f"| name | value |\n| --- | --- |\n| item_id | {item_id} |\n",
        }[style]
    )


def test_edit_by_item_changes_any_message(filled: Path) -> None:
    """One of an assistant too, and one that is on another branch."""
    old = ids(filled, "forked")[2]
    _, notes = done("-d", filled, "edit", "forked", "--item", old, "Who is there?")
    assert "is on branch 'second try~1'" in notes
    assert items_of(filled, "forked") == [user("Tell a joke."), assistant("Who is there?")]


@pytest.mark.parametrize(
    ("given", "stored"),
    [("two\nlines\n", "two\nlines"), ("é\r\n", "é"), ("none", "none"), ("two\n\n", "two\n")],
)
def test_edit_reads_standard_input(filled: Path, given: str, stored: str) -> None:
    done("-d", filled, "edit", "forked", "--turn", "1", "-", input=given.encode())
    assert items_of(filled, "forked") == [user(stored)]


def test_edit_takes_a_text_that_begins_with_a_dash(filled: Path) -> None:
    done("-d", filled, "edit", "forked", "--turn", "1", "--", "-5")
    assert items_of(filled, "forked") == [user("-5")]


def test_edit_of_no_or_two_messages_is_a_wrong_call(filled: Path) -> None:
    for which in ([], ["--turn", "1", "--item", "3"]):
        text = usage("-d", filled, "edit", "forked", *which, "x")
        assert "--turn" in text
        assert "--item" in text
    assert "TEXT" in usage("-d", filled, "edit", "forked", "--turn", "1")
    for text in ("\udcff", "a\ud800"):
        assert "UTF-8" in usage("-d", filled, "edit", "forked", "--turn", "1", text)
    result = ran("-d", filled, "edit", "forked", "--turn", "1", "-", input=b"\xff")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert data("-d", filled, "branches", "forked")[0]["name"] == "main"


def test_what_cannot_be_edited_is_said_in_one_line(filled: Path) -> None:
    edit = ("-d", filled, "edit", "orders", "x")
    assert "no run 9" in failure(*edit, "--turn", "9")
    assert "no item 1" in failure(*edit, "--item", "1")
    assert "no message" in failure(*edit, "--item", ids(filled, "orders")[1])
    assert "no item" in failure(*edit, "--item", str(2**70))


# switch ------------------------------------------------------------------------------------------


def test_switch_goes_to_a_branch_and_says_so(filled: Path) -> None:
    text, notes = done("-d", filled, "switch", "forked", "second try")
    assert (text, notes.count("\n")) == ("", 1)
    assert "'second try'" in notes
    assert items_of(filled, "forked") == [user("Tell a joke."), assistant("Knock knock.")]
    done("-d", filled, "switch", "forked", "second try")
    assert items_of(filled, "forked")[1] == assistant("Knock knock.")


# purge -------------------------------------------------------------------------------------------


def test_purge_deletes_a_session_and_says_how_much(filled: Path) -> None:
    text, notes = done("-d", filled, "purge", "edited", "--yes")
    assert (text, notes) == ("", "Deleted for good: session 'edited' with 5 items.\n")
    assert "'edited'" in failure("-d", filled, "show", "edited")


def test_purge_of_an_item_takes_what_follows_it(filled: Path) -> None:
    first, *_, last = ids(filled, "edited")
    _, notes = done("-d", filled, "purge", "edited", "--item", last, "--yes")
    assert notes == "Deleted for good: 1 item of session 'edited'.\n"
    done("-d", filled, "purge", "edited", "--item", first, "--yes")
    assert len(ids(filled, "edited")) == 2
    assert "no item" in failure("-d", filled, "purge", "edited", "--item", first, "--yes")
    assert ran("-d", filled, "check").stderr == "no findings\n"


def test_purge_without_a_terminal_needs_to_be_told_yes(filled: Path) -> None:
    for more in ([], ["--item", ids(filled, "edited")[0]]):
        text = usage("-d", filled, "purge", "edited", *more)
        assert "--yes" in text
    result = program("-d", filled, "purge", "edited")
    assert (result.returncode, result.stdout) == (ExitCode.USAGE, b"")
    assert len(ids(filled, "edited")) == 5


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04", "yesterday\n"])
def test_purge_deletes_nothing_where_the_answer_is_not_yes(filled: Path, answer: str) -> None:
    code, text, notes = asked(answer.encode(), "-d", filled, "purge", "edited")
    assert (code, text) == (ExitCode.FAILURE, "")
    assert notes.startswith("Delete session 'edited' with all its items (5) for good? [y/N] ")
    assert notes.endswith("Nothing was deleted.\n")
    assert len(ids(filled, "edited")) == 5


def test_purge_shows_what_it_is_about_to_delete(path: Path) -> None:
    with duckstore.open(path) as store:
        store.conversation("s").add([user("keep"), user(NASTY + "long " * 40)])
    first, second = ids(path, "s")
    code, text, notes = asked(b"y\n", "-d", path, "purge", "s", "--item", second)
    assert (code, text) == (ExitCode.OK, "")
    assert f"Delete item {second} (user: \\x1b[2Jgone" in notes
    assert "\x1b" not in notes
    assert notes.endswith("Deleted for good: 1 item of session 's'.\n")
    code, _, notes = asked(b"", "-d", path, "purge", "s", "--item", second)
    assert (code, notes.count("\n")) == (ExitCode.FAILURE, 1)
    assert "no item" in notes
    assert ids(path, "s") == [first]


# All of them -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        *(["branches", "oders"], ["show", "oders", "--tree"], ["show", "oders", "--branch", "x"]),
        *(["diff", "oders", "a", "b"], ["edit", "oders", "--turn", "1", "x"]),
        *(["switch", "oders", "main"], ["purge", "oders", "--yes"]),
        ["purge", "oders", "--item", "1", "--yes"],
    ],
)
def test_an_unknown_session_is_told_with_near_ones(filled: Path, command: list[str]) -> None:
    text = failure("-d", filled, *command)
    assert "'oders'" in text
    assert "'orders'" in text
    assert len(data("-d", filled, "sessions")) == 8


@pytest.mark.parametrize(
    "command",
    [
        *(["show", "forked", "--branch", "none"], ["switch", "forked", "none"]),
        *(["diff", "forked", "main", "none"], ["diff", "forked", "none", "main"]),
        ["switch", "forked", ""],
    ],
)
def test_an_unknown_branch_is_told_with_those_that_are(filled: Path, command: list[str]) -> None:
    text = failure("-d", filled, *command)
    assert repr(command[-1]) in text or "'none'" in text
    assert "'main', 'second try'" in text


@pytest.mark.parametrize(
    "command",
    [
        *(["edit", "forked", "--turn", "1", "x"], ["switch", "forked", "second try"]),
        *(["purge", "forked"], ["purge", "forked", "--yes"]),
    ],
)
def test_nothing_is_changed_where_it_is_only_to_be_read(filled: Path, command: list[str]) -> None:
    before = filled.read_bytes()
    assert "read_only" in failure("-d", filled, "--read-only", *command)
    assert filled.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ["branches", "forked"],
        ["show", "forked", "--tree"],
        ["diff", "forked", "main", "second try"],
    ],
)
def test_looking_needs_no_right_to_write(filled: Path, command: list[str]) -> None:
    expected = done("-d", filled, *command)
    assert done("-d", filled, "--read-only", *command) == expected
    assert expected[0]


def test_a_store_of_another_process_is_looked_at_and_changed(
    client: duckstore.Store, keeper: Keeper, path: Path
) -> None:
    """Each command does the same as where this process owns the store."""
    sample.fill(client)
    assert len(data("-d", path, "branches", "edited")) == 3
    assert "1 of 2 · edit" in done("-d", path, "show", "edited", "--tree")[0]
    assert "2 + 3?" in done("-d", path, "show", "edited", "--branch", "main~1")[0]
    assert "0.17" in done("-d", path, "diff", "edited", "main~1", "main")[0]
    assert "'main~1'" in failure("-d", path, "switch", "edited", "nowhere")
    done("-d", path, "switch", "edited", "main~1")
    done("-d", path, "edit", "edited", "--turn", "1", "3 + 3?")
    done("-d", path, "purge", "orders", "--yes")
    keeper.run(
        f"talk = stores[{str(path)!r}].conversation('edited')\n"
        "assert talk.items() == [{'role': 'user', 'content': '3 + 3?'}], talk.items()\n"
        f"assert stores[{str(path)!r}].conversation('orders').items() == []"
    )


def test_branch_names_are_completed_and_mistakes_are_silent(filled: Path, tmp_path: Path) -> None:
    def completed(words: str, incomplete: str, database: Path) -> list[str]:
        env = {"_DUCKSTORE_COMPLETE": "bash_complete", "DUCKSTORE_DB": str(database)}
        env |= {"COMP_WORDS": f"duckstore {words} {incomplete}"}
        env |= {"COMP_CWORD": str(len(words.split()) + 1)}
        result = CliRunner().invoke(cli, [], prog_name="duckstore", env=env)
        assert result.stderr == ""
        return [line.split(",", 1)[1] for line in result.stdout.splitlines() if line]

    for words in ("switch edited", "diff edited", "diff edited main~1", "show edited --branch"):
        assert completed(words, "", filled) == ["main", "main~2", "main~1"]
        assert completed(words, "main~", filled) == ["main~2", "main~1"]
        assert completed(words, "main~", tmp_path / "none") == []
    assert completed("show --branch", "m", filled) == []
    assert completed("switch unknown", "m", filled) == []
    for command in ("branches", "diff", "edit", "switch", "purge"):
        assert completed(command, "or", filled) == ["orders"]


@pytest.mark.parametrize("command", COMMANDS)
def test_looking_makes_no_file(path: Path, command: str) -> None:
    assert str(path) in failure("-d", path, *command.split())
    assert not path.exists()
