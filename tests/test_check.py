"""Each rule of a store can fail: for each there is a file that breaks it, and is found."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import duckstore
from duckstore.check import MOST_PER_RULE
from duckstore.rules import RULES
from tests.samples import assistant, call, output, user

COLUMNS_RULE = "an item's columns follow from its raw text"
PATH_RULE = "a session returns its current path"

# The store that is broken: see `whole`. In each statement, $name stands for an id of it.
BREAKS: list[tuple[str, str]] = [
    ("ids are unique", "update move_rows set move_id = $call where move_id = $pop"),
    ("ids are unique", "insert into item_rows select * from item_rows where item_id = $call"),
    (
        "every row belongs to a stored session",
        "insert into move_rows select 9000, 8999, * exclude (move_id, session_key)"
        " from move_rows limit 1",
    ),
    (
        "every row belongs to a stored session",
        "insert into response_rows (response_id, session_key, item_id, run_id)"
        " values (9000, 8999, 9000, 9000)",
    ),
    ("every session has its first branch", "delete from branch_rows where branch_id = $root"),
    (
        "branch names are unique in a session",
        "update branch_rows set name = 'main' where session_key = $root",
    ),
    (
        "a branch holds each of its positions once",
        "update item_rows set position = position + 1 where item_id = $last",
    ),
    (
        "a branch holds each of its positions once",
        "delete from item_rows where item_id = $call",
    ),
    (
        "a branch's path has no gaps",
        "update lineage_rows set first_position = 2 where branch_id = $edit",
    ),
    (
        "what a branch inherits is as long as its fork position",
        "delete from lineage_rows where branch_id = $edit",
    ),
    (
        "an item's parent is the item before it on its branch",
        "update item_rows set parent_item_id = null where item_id = $output",
    ),
    (
        "an item's parent is the item before it on its branch",
        "update item_rows set parent_item_id = $output where item_id = $edited",
    ),
    (
        "an output answers an earlier call with its id",
        "update item_rows set answers_item_id = 9000 where item_id = $output",
    ),
    (
        "an output answers an earlier call with its id",
        "update item_rows set call_id = 'another' where item_id = $call",
    ),
    (
        "an output answers an earlier call with its id",
        "update item_rows set answers_item_id = $question where item_id = $output",
    ),
    (
        "an output is its call's first once, and numbered above 1 after it",
        "update item_rows set answer_number = null where item_id = $output",
    ),
    (
        "a call is answered once on a path",
        "update item_rows set answers_item_id = $call where item_id = $second_output",
    ),
    (
        "a run is one stretch of one branch, with one number",
        "update item_rows set turn_number = 7 where item_id = $output",
    ),
    (
        "a run is one stretch of one branch, with one number",
        "update item_rows set run_id = $question where item_id = $edited",
    ),
    (
        "run numbers count up along every path",
        "update item_rows set turn_number = 1 where run_id = $second_question",
    ),
    (
        "a response is one batch's, and starts with its own id",
        "update item_rows set batch_id = $output where item_id = $second_call",
    ),
    (
        "a response is one batch's, and starts with its own id",
        "update item_rows set response_id = $question where response_id = $call",
    ),
    (
        "what was seen of a run belongs to an item of it",
        "insert into response_rows (response_id, session_key, item_id, run_id)"
        " values (9000, $root, $call, $call)",
    ),
    (
        "what was seen of a run belongs to an item of it",
        "insert into guardrail_rows (guardrail_id, session_key, item_id, run_id, guardrail_name,"
        " is_triggered) values (9000, $root, 8999, $question, 'g', true)",
    ),
    (
        "a response or a tool call was seen once, and is what it is said to be",
        "insert into response_rows (response_id, session_key, item_id, run_id)"
        " values ($question, $root, $question, $question)",
    ),
    (
        "a response or a tool call was seen once, and is what it is said to be",
        "insert into call_rows (tool_call_id, session_key, item_id, run_id)"
        " values ($call, $root, $call, $question), ($call, $root, $call, $question)",
    ),
    (
        "what ran in a tool call ran in one of its session",
        "insert into response_rows (response_id, session_key, item_id, run_id, parent_tool_call_id)"
        " values (9000, $root, $call, $question, $call)",
    ),
    *(
        (
            "the tools that a model was offered are a JSON array of texts",
            "insert into response_rows (response_id, session_key, item_id, run_id, offered_tools)"
            f" values ($call, $root, $call, $question, '{text}')",
        )
        for text in ("look", '{"look": 1}', '["look", 7]', '["look", null]')
    ),
    (
        "the current branch is not deleted, and what a branch inherits is stored",
        "insert into move_rows select 9000, session_key, 'delete', $edit, 1, null, null, null,"
        " created_at from session_rows where session_key = $root",
    ),
    (
        "the current branch is not deleted, and what a branch inherits is stored",
        "update lineage_rows set source_branch_id = 9000 where branch_id = $edit",
    ),
    (
        "every call is counted once",
        "insert into session_rows select $root, 'twice', * exclude (session_key, session_id)"
        " from session_rows where session_key = $root",
    ),
    (
        "every call is counted once",
        # The same stretch of the first branch is visible and archived.
        "insert into lineage_rows select * replace (0 as archived_at) from lineage_rows"
        " where branch_id = $edit",
    ),
    (
        "the path of every session ends where its history says",
        "insert into move_rows select * replace (9000 as move_id, 99 as to_position)"
        " from move_rows where to_branch_id = $edit",
    ),
    (
        "is_current marks exactly the current path",
        "update item_rows set session_key = $stranger where item_id = $edited",
    ),
    (COLUMNS_RULE, "update item_rows set item = 'no JSON' where item_id = $call"),
    (COLUMNS_RULE, "update item_rows set text = 'another' where item_id = $question"),
    (COLUMNS_RULE, "update item_rows set part = 'input' where item_id = $call"),
    (COLUMNS_RULE, "update item_rows set arguments = null where item_id = $call"),
    (
        PATH_RULE,
        # The session reads its items by ids above its key; the relations do not need that.
        "update item_rows set item_id = 0, batch_id = 0, run_id = 0 where item_id = $other",
    ),
]


@pytest.fixture
def whole(path: Path) -> tuple[Path, dict[str, int]]:
    """A closed store that breaks no rule, and the ids of what is in it.

    One session asks, calls two tools and gets both outputs, asks again and corrects the second
    question; another holds one item.
    """
    with duckstore.open(path) as store:
        store.conversation("other").add([user("alone")])
        conversation = store.conversation("s")
        conversation.add([user("question")])
        conversation.add([call("look", "a", '{"x": 1}'), call("look", "b")])
        conversation.add([output("a"), output("b")])
        conversation.add([assistant("answer")])
        conversation.add([user("second question")])
        conversation.pop()
        conversation.add([user("corrected question")])
        assert store.check() == []
    with duckdb.connect(str(path)) as plain:
        (other,), *rows = plain.execute("select item_id from item_rows order by item_id").fetchall()
        names = "question call second_call output second_output last second_question edited"
        ids = {name: item_id for name, (item_id,) in zip(names.split(), rows, strict=True)}
        ids["other"] = other
        moves = plain.execute("select move_id from move_rows order by move_id").fetchall()
        branches = plain.execute(
            "select branch_id from branch_rows where session_key <> branch_id or name like 'main~%'"
            " order by branch_id"
        ).fetchall()
        ids["pop"] = moves[0][0]
        (ids["root"],), (ids["edit"],) = branches
        ids["stranger"] = min(
            key for (key,) in plain.execute("select session_key from session_rows").fetchall()
        )
    return path, ids


def break_file(path: Path, statement: str, ids: dict[str, int]) -> None:
    """Change a closed store by plain SQL."""
    for name in sorted(ids, key=len, reverse=True):
        statement = statement.replace(f"${name}", str(ids[name]))
    with duckdb.connect(str(path)) as plain:
        # The column is unique in a store; only a table made anew can hold what breaks a rule.
        if "'twice'" in statement:
            plain.execute("create table free_rows as select * from session_rows")
            plain.execute(statement.replace("into session_rows", "into free_rows"))
            plain.execute("drop table session_rows cascade")
            plain.execute("alter table free_rows rename to session_rows")
        else:
            plain.execute(statement)


@pytest.mark.parametrize(("rule", "statement"), BREAKS)
def test_what_breaks_a_rule_is_found(
    rule: str, statement: str, whole: tuple[Path, dict[str, int]]
) -> None:
    path, ids = whole
    break_file(path, statement, ids)
    with duckstore.open(path) as store:
        findings = store.check()
    assert rule in {finding.rule for finding in findings}
    for finding in findings:
        assert finding.message


def test_every_rule_can_fail() -> None:
    """There is a broken file for each rule that a check knows."""
    assert {rule for rule, _ in BREAKS} == {*RULES, COLUMNS_RULE, PATH_RULE}


def test_a_finding_names_its_session(whole: tuple[Path, dict[str, int]]) -> None:
    path, ids = whole
    break_file(path, "update item_rows set text = 'another' where item_id = $other", ids)
    with duckstore.open(path) as store:
        (finding,) = store.check()
    assert (finding.rule, finding.session_id) == (COLUMNS_RULE, "other")
    assert str(ids["other"]) in finding.message


def test_a_rule_reports_only_its_first_findings(path: Path) -> None:
    with duckstore.open(path) as store:
        store.conversation("s").add([user(str(i)) for i in range(MOST_PER_RULE + 5)])
    break_file(path, "update item_rows set text = 'another'", {})
    with duckstore.open(path) as store:
        assert len(store.check()) == MOST_PER_RULE
