"""A chart as a file: SVG, PNG, HTML that needs no network, or the chart's own JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from duckstore import errors

if TYPE_CHECKING:
    import altair

__all__ = ["check_target", "write_chart"]

SUFFIXES = (".svg", ".png", ".html", ".json")
PNG_SCALE = 2
"""Twice as many pixels as the chart is wide, for screens that have them."""


def check_target(path: Path) -> None:
    """Raise ArgumentError where a chart cannot be written there."""
    if path.suffix.lower() not in SUFFIXES:
        raise errors.ArgumentError(
            f"{path} has no suffix of a plot: name a file that ends in {', '.join(SUFFIXES)}"
        )
    if not path.parent.is_dir():
        raise errors.ArgumentError(
            f"{path} cannot be written: there is no folder {path.parent}. Make it first"
        )
    if path.is_dir():
        raise errors.ArgumentError(f"{path} is a folder: name a file")


def write_chart(chart: altair.LayerChart, path: Path) -> None:
    """Write a chart, by the suffix of the path. What was there is replaced when it is done.

    Raises:
        ArgumentError: The suffix is another, or the folder is not there.
        MissingPackageError: vl-convert is not installed, and the suffix is not .json.
        OSError: It cannot be written; what was there stays.
    """
    check_target(path)
    data = _bytes_of(chart.to_dict(), path.suffix.lower())
    aside = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with aside.open("xb") as file:
            file.write(data)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _bytes_of(spec: dict[str, Any], suffix: str) -> bytes:
    if suffix == ".json":
        return (json.dumps(spec, indent=2) + "\n").encode()
    converter = _converter()
    version = _version(spec, converter.get_vegalite_versions())
    if suffix == ".png":
        return bytes(converter.vegalite_to_png(spec, vl_version=version, scale=PNG_SCALE))
    if suffix == ".svg":
        return str(converter.vegalite_to_svg(spec, vl_version=version)).encode()
    page = str(converter.vegalite_to_html(spec, vl_version=version, bundle=True))
    # The page is as light or as dark as who looks at it has set: the chart fits both.
    style = "<style>:root {color-scheme: light dark}</style>"
    return page.replace("<head>", f"<head>{style}", 1).encode()


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise errors.MissingPackageError(
            "vl-convert is needed to draw a plot into a file and is not installed: "
            "pip install 'duckstore[plots]'; a file that ends in .json needs it not"
        ) from error
    return vl_convert


def _version(spec: dict[str, Any], known: list[str]) -> str | None:
    """The version of Vega-Lite that a chart is written in; None, for the newest, if it is newer."""
    number = spec["$schema"].rpartition("/v")[2].removesuffix(".json")
    version = ".".join(number.split(".")[:2])
    return version if version in known else None
