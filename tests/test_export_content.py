"""Exports without what was said: no original is left, and what can be counted still can be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import duckstore
from duckstore import Store, errors
from duckstore.catalogue import load
from duckstore.exporting.content import CONTENT
from duckstore.exporting.redaction import PATTERNS, Redaction
from duckstore.exporting.shape import columns_of
from duckstore.schema import RELATIONS
from tests.exported import every_text, fill, seals, stored, values_of, watched
from tests.samples import assistant, call, output, user

WORD = "Zanzibarium"
KEY = "00" * 16
TEXTS = {"VARCHAR", "VARCHAR[]", "JSON"}

# Texts that are no content: ids, names that programs give, and what is one of a few words.
NAMES = {
    *("session_id", "parent_session_id", "call_id", "trace_id", "span_id", "group_id"),
    *("provider_response_id", "name", "tags", "source", "kind", "operation", "role", "status"),
    *("item_type", "tool_type", "tool_name", "tool_names", "server_label", "agent_name", "model"),
    *("workflow_name", "guardrail_name", "offered_tools", "handoff_to", "status_source"),
    *("outcome", "error_type", "approval", "finish_reason", "currency", "price_source"),
    *("daily_from", "daily_until"),
}


@pytest.fixture(scope="module")
def full() -> Iterator[Store]:
    """Words that must not get out in every place where somebody may have said something."""
    with duckstore.open() as opened:
        fill(opened)
        watched(opened, "secret", WORD)
        talk = opened.conversation("secret")
        talk.branch("a branch", at={"position": 2})
        talk.add([user(f"on a branch {WORD}"), user(f"popped {WORD}")])
        talk.pop()
        talk.replace_all([user(f"compacted {WORD}")])
        yield opened


@pytest.fixture(scope="module")
def folders(full: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("content")
    full.export_parquet(place / "full")
    full.export_parquet(place / "hashed", text=False)
    full.export_parquet(place / "redacted", redact=[lambda text: text.replace(WORD, "-")])
    return {path.name: path for path in place.iterdir()}


def columns_with(folder: Path, word: str) -> set[tuple[str, str]]:
    """The columns of a folder in which a word stands somewhere."""
    found = set()
    for relation in RELATIONS:
        frame = pl.read_parquet(folder / relation, hive_partitioning=False)
        for name in frame.columns:
            if any(word in str(value) for value in frame[name].to_list()):
                found.add((relation, name))
    return found


# No text -----------------------------------------------------------------------------------------


def test_every_column_is_content_or_a_name() -> None:
    """A column that comes new to a relation must be thought of."""
    for relation in RELATIONS:
        for name, kind in columns_of(relation).items():
            if kind in TEXTS:
                assert (name in CONTENT[relation]) is not (name in NAMES), f"{relation}.{name}"
            else:
                assert name not in CONTENT[relation]


def test_the_word_is_in_every_column_of_content(folders: dict[str, Path]) -> None:
    """Of the full export: else the tests below look for what is not there."""
    expected = {(relation, name) for relation, names in CONTENT.items() for name in names}
    assert columns_with(folders["full"], WORD) == expected


@pytest.mark.parametrize("how", ["hashed", "redacted"])
def test_no_original_text_is_in_any_byte_of_any_file(folders: dict[str, Path], how: str) -> None:
    """Neither in values nor in what Parquet tells of them, in no file whatever it is called."""
    assert any(WORD in text for _, text in every_text(folders["full"]))
    assert [name for name, text in every_text(folders[how]) if WORD in text] == []
    assert "a branch" in str(stored(folders[how], "branches"))
    assert "find" in str(stored(folders[how], "tool_calls"))


def test_no_text_of_any_item_is_left(full: Store, folders: dict[str, Path]) -> None:
    """Not one of a dozen characters and more, of any session."""
    texts = {
        text
        for relation, names in CONTENT.items()
        for name in names
        for text in full.sql(f"select {name}::varchar as t from {relation}")["t"].to_list()
        if text is not None and len(text) > 11
    }
    assert len(texts) > 50
    pages = "".join(text for name, text in every_text(folders["hashed"]))
    assert [text for text in texts if text in pages] == []


def test_a_hash_tells_which_texts_are_equal_and_how_long_they_are(
    full: Store, folders: dict[str, Path]
) -> None:
    """And nothing where there was nothing."""
    sql = "select item_id, text, item from items order by item_id"
    pairs: dict[str, str] = {}
    hashed = values_of(folders["hashed"], sql)
    for (_, text, item), (_, told, told_item) in zip(full.sql(sql).rows(), hashed, strict=True):
        if text is None:
            assert told is None
        else:
            assert re.fullmatch(r"[0-9a-f]{32}:\d+", told)
            assert int(told[33:]) == len(text)
            assert pairs.setdefault(text, told) == told
        assert json.loads(told_item)["length"] == len(item)
    assert len(set(pairs.values())) == len(pairs) > 20
    (row,) = values_of(
        folders["hashed"], "select title, user_id, metadata from sessions where session_id='secret'"
    )
    assert [int(row[0][33:]), int(row[1][33:])] == [len(f"title {WORD}"), len(f"user {WORD}")]
    assert json.loads(row[2]).keys() == {"hash", "length"}


def test_the_hash_is_that_of_the_store(store: Store, tmp_path: Path) -> None:
    """Other stores have other hashes; the same one the same, also after it was written anew."""
    told = []
    for each in (store, duckstore.open()):
        each.conversation("s").add([user("yes")])
        each.export_parquet(tmp_path / each.path.replace("/", "_"), text=False)
        told += values_of(tmp_path / each.path.replace("/", "_"), "select text from items")
    assert told[0] != told[1]
    store.compact()
    assert not store.export_parquet(tmp_path / store.path.replace("/", "_"), text=False).is_changed
    key = store._access.rows("select value from store_meta where key = 'hash_key'").rows[0][0]
    for text, _ in ((text, 0) for _, text in every_text(tmp_path / store.path.replace("/", "_"))):
        assert key not in text


def test_questions_about_tools_and_edits_give_the_same_counts(
    folders: dict[str, Path], full: Store
) -> None:
    """Every query of the catalogue runs; those on tools and edits have as many rows, and the same
    values in the columns that tell no text."""
    compared = 0
    with duckstore.open_parquet(folders["hashed"]) as hashed:
        for query in load(None).queries.values():
            if any(parameter.is_required for parameter in query.parameters):
                continue
            found = hashed.query(query.name)
            if query.topic not in ("tool_usage", "edit_points") or query.name in READ_TEXTS:
                continue
            expected = full.query(query.name)
            assert found.schema == expected.schema, query.name
            assert found.height == expected.height, query.name
            numbers = [name for name, kind in expected.schema.items() if kind.is_integer()]
            for name in set(numbers) - SIZES:
                assert sorted(map(str, found[name])) == sorted(map(str, expected[name])), query.name
                compared += 1
    assert compared > 50


# Queries that look into texts, and columns that tell how long they are.
READ_TEXTS = {"tool_arguments", "tool_errors", "edit_text_changes"}
SIZES = {
    *("replaced_chars", "written_chars", "total_chars", "carried_chars", "max_chars"),
    "max_call_id",
}


def test_it_can_be_asked_and_not_imported(full: Store, folders: dict[str, Path]) -> None:
    """The tables beside the relations hold texts too: they are not there."""
    for how in ("hashed", "redacted"):
        assert json.loads((folders[how] / "manifest.json").read_text())["tables"] == {}
        assert full.verify_export(folders[how]) == []


def test_texts_are_left_out_later_and_taken_in_again(store: Store, tmp_path: Path) -> None:
    """An export of the other kind writes everything anew; the first originals are gone then."""
    store.conversation("s").add([user(WORD)])
    store.export_parquet(tmp_path / "out")
    store.export_parquet(tmp_path / "out", text=False)
    assert [name for name, text in every_text(tmp_path / "out") if WORD in text] == []
    assert store.verify_export(tmp_path / "out") == []
    store.export_parquet(tmp_path / "out")
    assert WORD in str(stored(tmp_path / "out", "items"))
    assert store.verify_export(tmp_path / "out") == []


# Redaction ---------------------------------------------------------------------------------------

FOUND = {
    "email": [
        *("ada@example.org", "ada.b+c@mail.example.co.uk", "o'hara@example.ie", "a_b%c@x-y.de"),
        *("ädä@exämple.de", "ADA@EXAMPLE.ORG", "1@2.3"),
    ],
    "phone": [
        *("+44 20 7946 0958", "+1 (555) 010-9999", "+4930123456", "+49 (0)30 123456"),
        *("(020) 7946 0958", "030 1234567", "0049 30 123456", "555-010-9999", "555 010 9999"),
        *("1-800-555-0199", "1 (800) 555-0199", "07946095812", "004930123456789", "01/2345678"),
    ],
    "card": [
        *("4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5500000000000004"),
        *("3782 822463 10005", "6011000990139424", "30569309025904", "2223003122003222"),
        "4222222222222",
    ],
    "keys": [
        *("sk-abcdefghijklmnop1234", "sk-proj-AbC_dEf-1234567890", "pk_live_0123456789abcdef"),
        *(
            "ghp_0123456789abcdefghij0123",
            "github_pat_11AAAAAAA0123456789abc",
            "glpat-aB3dE6gH9jKl_-mN0p",
        ),
        *("AKIAIOSFODNN7EXAMPLE", "AIzaSyA0123456789abcdefghijklmnopqrstuv"),
        *("xoxb-123456789012-abcdef", "hf_abcdefghijklmnopqrstuvwx"),
        *("npm_0123456789abcdefghijklmnopqrstuvwxyz", "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAw"),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc=\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIB and cut",
    ],
}
# What stands around a secret stays.
FOUND_IN = [
    ("Authorization: Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
    ("password: hunter22", "hunter22"),
    ("PASSWORD=hunter22;", "hunter22"),
    ('"api_key" = "q1w2e3r4"', "q1w2e3r4"),
    ("DB_PASSWORD=hunter22", "hunter22"),
    ("client secret: abcd1234", "abcd1234"),
    ("postgres://ada:hunter22@db/x", "hunter22"),
    ("card 4111 1111 1111 1111 123, 12/27", "4111 1111"),
    ("order 12 4111 1111 1111 1111", "4111 1111"),
    ("1234 4111 1111 1111 1111", "4111 1111"),
]
LEFT = {
    "email": ["@ada", "a@b", "me @ home.org", "x@", "price@5", "user@localhost"],
    "phone": [
        *("2026-11-27", "01.02.2026", "05/06/2026", "10:00:00", "2026-11-27T10:00:00", "12345"),
        *("192.168.100.200", "3.1415926535", "order 12345678", "123-45-6789", "1764249600000"),
        *(
            "550e8400-e29b-41d4-a716-446655440000",
            "v10.0.19041.1234",
            "call_0123456789",
            "1 2 3 4 5",
        ),
    ],
    "card": [
        *("4111111111111112", "1764249600000", "1234567812345670", "12345", "9999999999999995"),
        *("4111 1111 1111", "0x4111111111111111", "411111111111111", "41111111111111111111"),
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ],
    "keys": [
        *("sk-learn", "risk-assessment-of-the-whole-project", "a secret garden", "password reset"),
        *("Bearer of bad news", "tokens: 1234567", "ghp_short", "https://example.org/a:b"),
        *("keyboard: qwertz", "the secret is out", "eyJ.is.no"),
    ],
}


def redacted(text: str, *wanted: Any) -> str:
    return Redaction(wanted, KEY).said(text)


@pytest.mark.parametrize(("name", "text"), [(n, text) for n, own in FOUND.items() for text in own])
def test_a_pattern_finds(name: str, text: str) -> None:
    """In a sentence, alone, in quotes, at the end; and puts kind, hash and length in its place."""
    for around in ("{}", "Write to {}, please.", '"{}"', "({})", "is: {}\n", "<{}>"):
        changed = redacted(around.format(text), name)
        before, after = map(re.escape, around.split("{}"))
        mark = rf"\[{name} [0-9a-f]{{12}}:\d+\]"
        if "BEGIN" in text and "END" not in text:
            after = ""  # the rest may be the key
        assert re.fullmatch(before + mark + after, changed), changed


@pytest.mark.parametrize(("text", "secret"), FOUND_IN)
def test_a_secret_is_found_by_what_stands_before_it(text: str, secret: str) -> None:
    name = "card" if "4111" in text else "keys"
    changed = redacted(text, name)
    assert secret not in changed
    assert f"[{name} " in changed


@pytest.mark.parametrize(("name", "text"), [(n, text) for n, own in LEFT.items() for text in own])
def test_a_pattern_leaves(name: str, text: str) -> None:
    """What only looks a little like it."""
    assert redacted(text, name) == text


def test_the_same_thing_is_the_same_in_every_text() -> None:
    """And another with another key, and another thing."""
    one, two = redacted("to ada@example.org", "email"), redacted("cc ada@example.org", "email")
    assert one[3:] == two[3:]
    assert redacted("to bob@example.org", "email")[3:] != one[3:]
    assert Redaction(["email"], "11" * 16).said("to ada@example.org") != one


MAIL = "ada@example.org"
PAN = "4111111111111111"


@pytest.mark.parametrize(
    "value",
    [
        {"to": MAIL},
        {MAIL: 1},
        [[MAIL]],
        {"deep": {"deeper": [{"to": f"mail {MAIL} now"}]}},
        {"nested": json.dumps({"to": MAIL})},
        {"nested": " " + json.dumps([json.dumps({"to": MAIL})])},
        {"é": f"\u00e9\n{MAIL}\t\U0001f986"},
        {"card": int(PAN)},
        {"cards": [PAN, f"{PAN[:4]} {PAN[4:8]} {PAN[8:12]} {PAN[12:]}"]},
        {"password": "hunter22"},
        {"api_key": {"value": "x"}, "db-password": "hunter22", "secret": ["hunter22"]},
    ],
)
def test_texts_inside_json_are_found(value: Any) -> None:
    """Whichever way they are written: it stays JSON with as many values."""
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, indent=1),
    ):
        changed = Redaction(list(PATTERNS), KEY).json(text)
        for secret in (MAIL, PAN, "4111 1111", "hunter22"):
            assert secret not in json.dumps(json.loads(changed), ensure_ascii=False)
        assert re.search(r"\[(email|card|keys) [0-9a-f]{12}:\d+\]", changed)
        assert type(json.loads(changed)) is type(value)
        assert len(json.loads(changed)) == len(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        "[1.0, NaN, 1e400]",
        '{ "b":\n 2 }',
        "[" * 5000,
        '{"n": 123456789012345678}',
    ],
)
def test_json_without_anything_to_find_stays_as_it_is(text: str) -> None:
    """To the byte: keys that come twice, numbers that Python has not, nesting without an end."""
    assert Redaction(list(PATTERNS), KEY).json(text) == text


def test_arguments_that_are_no_json_are_looked_through() -> None:
    assert MAIL not in Redaction(["email"], KEY).json(f"{{'to': '{MAIL}'}}")
    assert MAIL not in Redaction(["email"], KEY).json("[" * 5000 + MAIL)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000,
        "1 " * 100_000,
        "eyJ-" * 50_000,
        "sk" * 100_000,
        "." * 200_000,
        "0/" * 100_000,
        "+1" * 100_000,
        "://" * 60_000,
        "secret" * 40_000,
        "12345 " * 40_000,
    ],
)
@pytest.mark.timeout(20)
def test_long_texts_take_no_longer_than_they_are(text: str) -> None:
    """No text makes a pattern go back over it again and again."""
    redacted(text, *PATTERNS)


def test_a_redacted_export(store: Store, tmp_path: Path) -> None:
    """Patterns look at everything that is a text, an own function at what was said; both are told
    in the manifest, and the rest stays."""
    seen: list[str] = []

    def own(text: str) -> str:
        seen.append(text)
        return text.replace("Ada", "somebody")

    session = f"talk with {MAIL}"
    talk = store.conversation(session)
    talk.add([user(f"I am Ada, {MAIL}."), call("find", "c", json.dumps({"to": MAIL, "n": 1}))])
    talk.add([output("c", f'{{"sent": "{MAIL}"}}'), assistant("Sent.")])
    talk.branch(f"for {MAIL}", at={"position": 1})
    store.update_session(
        session, title="Ada", user_id=MAIL, tags=[MAIL, "vip"], metadata={"mail": MAIL}, source=MAIL
    )
    store.export_parquet(tmp_path / "out", redact=["email", own], sessions=[session])
    assert [
        name for name, text in every_text(tmp_path / "out") if MAIL in text or "Ada" in text
    ] == []
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["content"] == "redacted: email, own"
    rows = values_of(tmp_path / "out", "select arguments, output, arguments_json from tool_calls")
    mark = re.search(r"\[email [0-9a-f]{12}:15\]", rows[0][0])
    assert mark is not None
    assert json.loads(rows[0][0]) == json.loads(rows[0][2]) == {"to": mark[0], "n": 1}
    assert json.loads(rows[0][1]) == {"sent": mark[0]}
    (told,) = values_of(
        tmp_path / "out", "select session_id, title, user_id, tags, metadata from sessions"
    )
    assert told[:4] == (f"talk with {mark[0]}", "somebody", mark[0], [mark[0], "vip"])
    joined = "select count(*) from items join sessions using (session_id)"
    assert values_of(tmp_path / "out", joined) == [(4,)]
    assert all(session not in text for text in seen)
    assert values_of(tmp_path / "out", "select text from messages order by item_id")[1:] == [
        ("Sent.",)
    ]
    assert store.verify_export(tmp_path / "out") == []


def test_an_own_function_that_changed_is_called_again(store: Store, tmp_path: Path) -> None:
    """Nobody can tell by its name what it does: it sees everything in every export."""
    word = "one"

    def own(text: str) -> str:
        return text.replace("hello", word)

    store.conversation("s").add([user("hello")])
    store.export_parquet(tmp_path, redact=[own])
    before = seals(tmp_path)
    assert not store.export_parquet(tmp_path, redact=[own]).is_changed
    assert seals(tmp_path) == before
    word = "two"
    assert store.export_parquet(tmp_path, redact=[own]).is_changed
    assert values_of(tmp_path, "select text from items") == [("two",)]


def _none(text: str) -> Any:
    return None


def _fails(text: str) -> str:
    raise ZeroDivisionError("mine")


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [(_none, errors.ArgumentError, "_none"), (_fails, ZeroDivisionError, "mine")],
)
def test_an_own_function_that_does_not_work(
    function: Any, kind: type[Exception], words: str, store: Store, tmp_path: Path
) -> None:
    """It is told, and the folder is as before."""
    store.conversation("s").add([user("hello")])
    store.export_parquet(tmp_path)
    before = seals(tmp_path)
    with pytest.raises(kind, match=words):
        store.export_parquet(tmp_path, redact=[function])
    assert seals(tmp_path) == before


def test_rows_in_several_pieces_stay_in_order(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part goes through memory some rows at a time, and is one file as ever."""
    monkeypatch.setattr("duckstore.exporting.redacting.BATCH_ROWS", 7)
    for name in "ab":
        store.conversation(name).add([user(f"{name} {number}") for number in range(20)])
    store.export_parquet(tmp_path / "redacted", redact=["email"])
    store.export_parquet(tmp_path / "full")
    for relation in RELATIONS:
        (file,) = (tmp_path / "redacted" / relation).rglob("*.parquet")
        (other,) = (tmp_path / "full" / relation).rglob("*.parquet")
        assert pl.read_parquet(file).rows() == pl.read_parquet(other).rows(), relation
        assert pl.read_parquet(file).schema == pl.read_parquet(other).schema


def test_what_is_redacted_is_of_one_moment(client: Store, tmp_path: Path) -> None:
    """As much as any other export, while another process has the store and an agent writes."""
    import threading

    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(0.01):
            client.conversation("s").add([user("1"), user("2"), user("3")])

    client.conversation("s").add([user("1"), user("2"), user("3")])
    agent = threading.Thread(target=write)
    agent.start()
    try:
        for _ in range(3):
            client.export_parquet(tmp_path, redact=["phone"])
            counts = json.loads((tmp_path / "manifest.json").read_text())["row_counts"]
            assert counts["items"] == counts["messages"] == counts["branch_items"]
            assert counts["items"] % 3 == 0
            assert values_of(tmp_path, "select item_count from sessions") == [(counts["items"],)]
    finally:
        is_over.set()
        agent.join()
