"""`duckstore demo`: real agents, a real store, and what it tells."""

from duckstore.demo.tour import run_demo

__all__ = ["run_demo"]
