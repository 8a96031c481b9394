"""The package as users get it: its names, its imports, its wheel, its errors."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import duckdb
import pytest

import duckstore
from duckstore import catalogue, errors
from tests.processes import ROOT, python
from tests.samples import run, user

PACKAGE = ROOT / "duckstore"
MODULES = sorted(info.name for info in pkgutil.walk_packages([str(PACKAGE)], "duckstore."))


def need(tool: str) -> None:
    """Skip the test where a development tool is not installed."""
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this Python in the checkout."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


# Names ------------------------------------------------------------------------------------------


def test_public_names() -> None:
    """The names of the package are exactly these: each is a promise."""
    assert sorted(duckstore.__all__) == [
        "Alternative",
        "Archive",
        "BranchDiff",
        "BranchInfo",
        "DiffItem",
        "DiffRow",
        "DuckDBSession",
        "DuckstoreError",
        "Message",
        "QueryInfo",
        "SessionInfo",
        "Store",
        "__version__",
        "errors",
        "open",
        "open_parquet",
        "recover",
        "trace_to",
    ]
    for name in duckstore.__all__:
        assert getattr(duckstore, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", duckstore.__version__)


def test_public_methods_of_a_store() -> None:
    methods = {name for name in dir(duckstore.Store) if not name.startswith("_")}
    assert methods >= {
        "path",
        "session",
        "conversation",
        "sessions",
        "update_session",
        "purge",
        "query",
        "sql",
        "scan",
        "queries",
        "install_queries",
        "export_parquet",
        "check",
        "close",
    }
    for name in methods:
        assert inspect.getdoc(getattr(duckstore.Store, name)), name


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_every_module_says_which_names_are_for_others(name: str) -> None:
    """A module has a docstring and `__all__`, and every name in it is there."""
    path = Path(importlib.util.find_spec(name).origin or "")  # type: ignore[union-attr]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), name
    listed = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    if path.name == "__init__.py" and not any(
        isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ImportFrom) for node in tree.body
    ):
        return
    assert len(listed) == 1, f"{name} has no __all__"
    module = import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [member for member in module.__all__ if not hasattr(module, member)] == []


def test_import_is_light() -> None:
    """Naming all of duckstore's names loads the database and nothing that costs seconds."""
    heavy = (
        "agents",
        "openai",
        "polars",
        "pyarrow",
        "pydantic",
        "rich",
        "click",
        "numpy",
        "pandas",
    )
    loaded = python("from duckstore import *; import sys; print(*sys.modules)").split()
    assert not set(loaded) & set(heavy)
    assert "duckdb" in loaded


def test_a_store_is_used_without_the_sdk_or_data_frames(tmp_path: Path) -> None:
    """Writing, reading, listing and exporting work where none of the optional packages is."""
    code = f"""
import asyncio, duckstore, sys
session = duckstore.DuckDBSession("s", {str(tmp_path / "a.duckdb")!r})
asyncio.run(session.add_items([{{"role": "user", "content": "hi"}}]))
with duckstore.open({str(tmp_path / "a.duckdb")!r}) as store:
    print(store.sessions()[0].first_user_message, store.check(), len(store.queries()) > 0)
    print(store.export_parquet({str(tmp_path / "out")!r}).row_counts["items"])
session.close()
"""
    blocked = ("agents", "openai", "polars", "pyarrow", "pydantic")
    assert python(code, blocked=blocked).splitlines() == ["hi [] True", "1"]


# Tools ------------------------------------------------------------------------------------------


def test_imports_run_one_way() -> None:
    """The contracts in pyproject.toml hold."""
    need("importlinter")
    done = tool("-c", "from importlinter.cli import lint_imports_command as m; m()", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_module_stands_in_a_layer() -> None:
    """A new module must say where it stands before others import it."""
    layers = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("layers = [")[1]
    named = set(re.findall(r"duckstore\.\w+", layers.split("]")[0]))
    tops = {".".join(name.split(".")[:2]) for name in MODULES}
    assert tops == named


def test_types() -> None:
    need("mypy")
    done = tool("-m", "mypy")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=["check", "format"])
def test_form(arguments: tuple[str, ...]) -> None:
    need("ruff")
    done = tool("-m", "ruff", *arguments, ".")
    assert done.returncode == 0, done.stdout


# The wheel --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git would see, so that no stray file helps it."""
    need("hatchling")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("duckstore", "queries"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [built] = target.glob("*.whl")
    return built


def test_what_is_in_the_wheel(wheel: Path) -> None:
    """Every module, every query file, the SQL of the store, the types and the licence."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        rest = {name.partition("/")[2] for name in archive.namelist() if ".dist-info/" in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {
        f"duckstore/queries/{path.relative_to(ROOT / 'queries').as_posix()}"
        for path in (ROOT / "queries").rglob("*.sql")
    }
    assert found == expected
    assert {"duckstore/py.typed", "duckstore/tables.sql", "duckstore/relations.sql"} <= found
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= rest


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere it finds its queries inside the package and answers them."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import duckstore
with duckstore.open("a.duckdb") as store:
    store.conversation("s").add([{"role": "user", "content": "hi"}])
    print(duckstore.__file__)
    print(*sorted(query.name for query in store.queries()))
    print(store.query("turn_pairs")["user_message"].to_list())
"""
    (tmp_path / "work").mkdir()
    where, names, rows = python(
        code, python_path=tmp_path / "site", cwd=tmp_path / "work"
    ).splitlines()
    assert Path(where).is_relative_to(tmp_path / "site")
    assert names.split() == sorted(catalogue.bundled())
    assert rows == "['hi']"


# Errors -----------------------------------------------------------------------------------------


def test_the_error_tree_is_the_one_drawn() -> None:
    """The docstring of `duckstore.errors` shows the classes as they are, bases included."""
    drawn: dict[str, str] = {"DuckstoreError": "Exception"}
    parents = ["DuckstoreError"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:│   |    )*)[├└]── (\w+) ", line)
        if match:
            depth = len(match[1]) // 4 + 1
            parents[depth:] = [match[2]]
            also = re.search(r"\(also (\w+)\)|, also (\w+)\)|\(.*?(?:also (\w+))\)", line)
            extra = next((name for name in also.groups() if name), None) if also else None
            drawn[match[2]] = ", ".join(filter(None, [parents[depth - 1], extra]))
    classes = {
        name: ", ".join(base.__name__ for base in getattr(errors, name).__bases__)
        for name in errors.__all__
    }
    assert drawn == classes


def test_no_error_of_duckdb_leaves_a_public_method(tmp_path: Path) -> None:
    """Whatever goes wrong inside DuckDB reaches the caller as an error of duckstore."""
    path = tmp_path / "a.duckdb"
    (tmp_path / "text.duckdb").write_text("no database, though it is long enough to be one\n" * 99)
    with duckdb.connect(str(tmp_path / "other.duckdb")) as other:
        other.execute("create table mine as select 1 as one")
    with duckstore.open(path) as store:
        store.conversation("s").add([user("hi")])
        calls: list[Callable[[], object]] = [
            lambda: duckstore.open(tmp_path / "text.duckdb"),
            lambda: duckstore.open(tmp_path / "other.duckdb"),
            lambda: duckstore.open(tmp_path),
            lambda: duckstore.open(memory_limit="much"),
            lambda: duckstore.open(threads=-1),
            lambda: duckstore.DuckDBSession("s", tmp_path / "no" / "folder.duckdb"),
            lambda: duckstore.DuckDBSession("\ud800"),
            lambda: run(store.session("s").add_items([object()])),  # type: ignore[list-item]
            lambda: store.sql("selec"),
            lambda: store.sql("select 'x'::int"),
            lambda: store.sql("select $a", a=2**200),
            lambda: store.query("turn_pairs", row_limit=-1),
            lambda: store.query("turn_pair"),
            lambda: store.scan("nothing"),
            lambda: store.sessions(search="\ud800"),
            lambda: store.sessions(limit=2**70),
            lambda: store.update_session("s", title="\ud800"),
            lambda: store.update_session("\ud800", title="t"),
            lambda: store.purge("\ud800"),
            lambda: store.export_parquet(path),
        ]
        for number, wrong in enumerate(calls):
            with pytest.raises(errors.DuckstoreError) as caught:
                wrong()
            assert len(str(caught.value)) > 20, number
        assert store.conversation("s").items() == [user("hi")]
        assert store.check() == []
