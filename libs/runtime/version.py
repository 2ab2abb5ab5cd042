"""Which release this code is: what pyproject.toml says, in a source tree and in an image; what was installed elsewhere."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@cache
def version() -> str:
    """The version, as `0.1.0`."""
    try:
        said: str = tomllib.loads(PROJECT.read_text())["project"]["version"]
    except FileNotFoundError:
        return metadata.version("bulkhead")
    return said
