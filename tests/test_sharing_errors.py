"""A store that another process owns refuses what an owner refuses, in the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore import errors
from tests.owner import Keeper
from tests.samples import run, user

Both = tuple[duckstore.Store, duckstore.Store]

ERRORS: dict[str, tuple[Callable[[duckstore.Store], Any], type[Exception]]] = {
    "syntax": (lambda s: s.sql("selec 1"), errors.SQLError),
    "unknown column": (lambda s: s.sql("select nothing from items"), errors.SQLError),
    "two statements": (lambda s: s.sql("select 1; select 2"), errors.SQLError),
    "writing": (lambda s: s.sql("delete from item_rows"), errors.SQLError),
    "writing files": (lambda s: s.sql("copy items to 'x.csv'"), errors.SQLError),
    "foreign type": (lambda s: s.sql("select interval 1 day as i"), errors.SQLError),
    "while running": (lambda s: s.sql("select error('late') from range(9)"), errors.SQLError),
    "missing value": (lambda s: s.sql("select $a"), errors.SQLError),
    "odd value": (lambda s: s.sql("select $a", a={1, 2}), errors.SQLError),
    "odd object": (lambda s: s.sql("select $a", a=[object]), errors.SQLError),
    "large integer": (lambda s: s.sql("select $a", a=2**130), errors.SQLError),
    "lone surrogate": (lambda s: s.sql("select $a", a="\ud800"), errors.SQLError),
    "surrogate in sql": (lambda s: s.sql("select '\ud800'"), errors.SQLError),
    "rows": (lambda s: s._access.rows("select nothing", is_foreign=True), errors.SQLError),
    "rows writing": (lambda s: s._access.rows("drop table x", is_foreign=True), errors.SQLError),
    "relation": (lambda s: s.scan("nothing"), errors.ArgumentError),
    "query": (lambda s: s.query("nothing"), errors.UnknownQueryError),
    "parameter": (lambda s: s.query(s.queries()[0].name, nothing=1), errors.ParameterError),
    "order": (lambda s: s.sessions(order_by="nothing"), errors.ArgumentError),
    "metadata": (lambda s: s.update_session("s", metadata=[1]), errors.ArgumentError),
    "item": (lambda s: s.conversation("s").add([object()]), errors.ItemError),
    "items": (lambda s: s.conversation("s").add("text"), errors.ItemError),
    "fork position": (
        lambda s: s.conversation("s").branch("x", at={"position": 9}),
        errors.ArgumentError,
    ),
    "fork name": (lambda s: s.conversation("s").branch("main"), errors.BranchNameError),
    "switch": (lambda s: s.conversation("s").switch("nothing"), errors.UnknownBranchError),
    "import": (lambda s: s.import_jsonl("/nothing.jsonl"), errors.ImportFileError),
    "backup": (lambda s: s.backup(s.path), errors.StorePathError),
    "backup folder": (lambda s: s.backup("/nothing/copy.duckdb"), errors.StorePathError),
    "export": (lambda s: s.export_parquet(s.path), errors.StorePathError),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_an_owner(name: str, both: Both) -> None:
    """Class and message are the same, and the store can be used on."""
    use, kind = ERRORS[name]
    told = []
    for store in both:
        store.conversation("s").add([user("one")])
        with pytest.raises(errors.DuckstoreError) as caught:
            use(store)
        text = re.sub(r"[0-9a-f]{8}\.part", "PART", str(caught.value).replace(store.path, "PATH"))
        told.append((type(caught.value), text))
        assert store.conversation("s").items() == [user("one")]
        assert store.sql("select count(*) as n from items")["n"][0] == 1
    assert told[0] == told[1]
    assert told[0][0] is kind


def test_a_closed_client_says_so(keeper: Keeper, path: Path) -> None:
    """After `close` everything is refused, and the owner goes on."""
    keeper.open(path)
    store = duckstore.open(path)
    talk, session = store.conversation("s"), store.session("s")
    talk.add(["one"])
    store.close()
    uses: list[Callable[[], Any]] = [
        talk.items,
        talk.pop,
        lambda: talk.add(["two"]),
        lambda: run(session.get_items()),
        lambda: store.sql("select 1"),
        store.check,
    ]
    for use in uses:
        with pytest.raises(errors.ClosedError, match="closed"):
            use()
    with duckstore.open(path) as again:
        assert not again._access.is_owner
        assert again.conversation("s").items() == ["one"]
    keeper.close(path)
