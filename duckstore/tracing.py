"""A tracing processor that tells a store of the runs of its sessions; see `trace_to`.

It keeps nothing itself and sends nothing anywhere: the observer of the store's sessions takes what
it sees. Runs whose sessions are elsewhere are forgotten when they end. Nothing that happens here
may fail a run, so that an error is logged and goes no further.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.observer import RunObserver

if TYPE_CHECKING:
    from agents.tracing import TracingProcessor

__all__ = ["listen", "make_processor", "trace_to"]

_log = logging.getLogger("duckstore")
_listening: weakref.WeakSet[RunObserver] = weakref.WeakSet()
_relay: Any = None


def trace_to(store: Any) -> TracingProcessor:
    """A tracing processor that tells a store what its sessions cannot see.

    Give it to the SDK's `add_trace_processor`, beside the one that uploads traces, or to
    `set_trace_processors` alone, where nothing is to be uploaded. It serves every session of this
    process on the store's file, and stores nothing of runs whose sessions are elsewhere.

    Args:
        store: A `Store` or a `DuckDBSession`.

    Raises:
        ArgumentError: It is neither.
        StoreReadOnlyError: It was opened with `read_only=True`.
        MissingPackageError: The SDK is not installed.
    """
    access = getattr(store, "_access", None)
    observer = getattr(access, "observer", None)
    if access is None or not isinstance(observer, RunObserver):
        raise errors.ArgumentError(
            f"store is {type(store).__name__}: give what duckstore.open returned, or a "
            "DuckDBSession"
        )
    access.check_writable()
    return make_processor(lambda: [observer])


def make_processor(observers: Callable[[], list[RunObserver]]) -> TracingProcessor:
    """A processor that tells these observers.

    Raises:
        MissingPackageError: The SDK is not installed.
    """
    try:
        from agents.tracing import TracingProcessor
    except ImportError as error:
        raise errors.MissingPackageError(
            "tracing needs the OpenAI Agents SDK, which is not installed: "
            "pip install 'duckstore[agents]'"
        ) from error

    class StoreProcessor(TracingProcessor):
        """Tells observers of traces and spans."""

        def on_trace_start(self, trace: Any) -> None:
            for observer in observers():
                _told(observer.trace_begins, trace)

        def on_trace_end(self, trace: Any) -> None:
            for observer in observers():
                _told(observer.trace_ends, trace)

        def on_span_start(self, span: Any) -> None:
            for observer in observers():
                _told(observer.span_begins, span)

        def on_span_end(self, span: Any) -> None:
            for observer in observers():
                _told(observer.span_ends, span)

        def shutdown(self) -> None:
            """The store is closed by who opened it."""

        def force_flush(self) -> None:
            for observer in observers():
                observer.on_flush()

    return StoreProcessor()


def listen(observer: RunObserver) -> None:
    """Have an observer told of all traces of the process, beside whoever else is told.

    A processor cannot be taken back, so that one is added for all, and again where an application
    has set others in the place of all that there were.
    """
    global _relay
    _listening.add(observer)
    if _relay is None:
        _relay = make_processor(lambda: list(_listening))
    if not _is_told(_relay):
        from agents.tracing import add_trace_processor

        add_trace_processor(_relay)


def _is_told(processor: Any) -> bool:
    """Whether a processor is among those of the process; the SDK has no public word for it."""
    from agents.tracing import get_trace_provider

    several = getattr(get_trace_provider(), "_multi_processor", None)
    return processor in getattr(several, "_processors", ())


def _told(tell: Callable[[Any], None], what: Any) -> None:
    try:
        tell(what)
    except Exception:
        _log.warning("a span could not be read: it is not stored", exc_info=True)
