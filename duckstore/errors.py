"""Every error that duckstore raises on purpose.

    DuckstoreError
    ├── StoreError                     something is wrong with the file, not the call
    │   ├── StorePathError             a directory, a missing folder, no right (also OSError)
    │   ├── NotADatabaseError          the file is no DuckDB database
    │   ├── NotAStoreError             a DuckDB database, but not one of duckstore's
    │   ├── NewerSchemaError           written by a later duckstore
    │   ├── StoreLockedError           a process that does not share it holds the file
    │   ├── StoreBusyError             who has it open does not answer (also TimeoutError)
    │   ├── StoreReadOnlyError         a change of a store that was opened for reading
    │   ├── DamagedStoreError          DuckDB or the journal cannot be read
    │   └── StoreWriteError            a write failed (disk full, I/O); nothing was stored
    ├── ClosedError                    used after close() (also RuntimeError)
    ├── ForkedError                    used in a forked child (also RuntimeError)
    ├── ItemError                      an item is not JSON (also TypeError)
    ├── ArgumentError                  an argument has a wrong value (also ValueError)
    │   ├── UnknownBranchError         no branch of that name or id (also LookupError)
    │   └── BranchNameError            a branch cannot have that name
    ├── QueryError                     a query cannot be run (also ValueError)
    │   ├── UnknownQueryError          no query of that name (also LookupError)
    │   ├── ParameterError             missing, unknown or wrongly typed parameter
    │   ├── QueryFileError             a query file's header and its statement disagree
    │   └── SQLError                   DuckDB refuses the statement
    ├── ImportFileError                a file to import is not what it should be (also ValueError)
    └── MissingPackageError            an optional package is not installed (also ImportError)

Two levels and no more: catch `DuckstoreError` for all, or the kind you can do something about.
A message says what happened, with which value, and what to do next. No `duckdb.Error`
leaves a public method.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "BranchNameError",
    "ClosedError",
    "DamagedStoreError",
    "DuckstoreError",
    "ForkedError",
    "ImportFileError",
    "ItemError",
    "MissingPackageError",
    "NewerSchemaError",
    "NotADatabaseError",
    "NotAStoreError",
    "ParameterError",
    "QueryError",
    "QueryFileError",
    "SQLError",
    "StoreBusyError",
    "StoreError",
    "StoreLockedError",
    "StorePathError",
    "StoreReadOnlyError",
    "StoreWriteError",
    "UnknownBranchError",
    "UnknownQueryError",
]


class DuckstoreError(Exception):
    """Base of every error that duckstore raises on purpose."""


class StoreError(DuckstoreError):
    """Something is wrong with the store's file."""


class StorePathError(StoreError, OSError):
    """The path cannot hold a store: a directory, a missing folder, no right to write."""


class NotADatabaseError(StoreError):
    """The file exists and is no DuckDB database."""


class NotAStoreError(StoreError):
    """The file is a DuckDB database that duckstore did not make."""


class NewerSchemaError(StoreError):
    """The store was written by a later version of duckstore."""


class StoreLockedError(StoreError):
    """A process that does not share it holds the file open."""


class StoreBusyError(StoreError, TimeoutError):
    """The process that has the store open does not answer in time."""


class StoreReadOnlyError(StoreError):
    """A store that was opened for reading only was to be changed."""


class DamagedStoreError(StoreError):
    """The file, DuckDB's log or the journal cannot be read."""


class StoreWriteError(StoreError):
    """A write failed. Nothing of the batch was stored, and the store can be used on."""


class ClosedError(DuckstoreError, RuntimeError):
    """A store or session was used after it was closed."""


class ForkedError(DuckstoreError, RuntimeError):
    """A store that was opened before `fork()` was used in the child."""


class ItemError(DuckstoreError, TypeError):
    """An item cannot be stored as JSON. Nothing of its batch was stored."""


class ArgumentError(DuckstoreError, ValueError):
    """An argument has a value that makes no sense here."""


class UnknownBranchError(ArgumentError, LookupError):
    """The session has no branch of that name or id."""


class BranchNameError(ArgumentError):
    """A branch cannot have that name: it is empty, or was used in this session."""


class QueryError(DuckstoreError, ValueError):
    """A query cannot be run."""


class UnknownQueryError(QueryError, LookupError):
    """No query of that name is in the catalogue."""


class ParameterError(QueryError):
    """A query's parameter is missing, unknown or of the wrong type."""


class QueryFileError(QueryError):
    """A query file's header does not agree with its statement."""


class SQLError(QueryError):
    """DuckDB refuses the statement."""


class ImportFileError(DuckstoreError, ValueError):
    """A file to import is not what it should be."""


class MissingPackageError(DuckstoreError, ImportError):
    """An optional package is needed for this and is not installed."""


def again(error: DuckstoreError) -> DuckstoreError:
    """The same error for one more who is to be told: a raised one keeps its traceback."""
    own = type(error)(*error.args)
    own.__cause__ = error.__cause__
    return own


def by_name(name: str, text: str) -> DuckstoreError:
    """The error of that class, as another process raised it."""
    kind = globals().get(name)
    if isinstance(kind, type) and issubclass(kind, DuckstoreError):
        return kind(text)
    return DuckstoreError(f"{name}: {text}")
