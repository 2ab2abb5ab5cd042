"""A log file that never grows beyond its bounds: when it is full, it becomes `.1`, and `.1` becomes `.2`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

BYTES_MAX = 8 * 1024 * 1024
KEPT = 3


class BoundedLog:
    """Appends lines to `path`; at most `bytes_max` in it, and `kept` older ones beside it."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX, kept: int = KEPT):
        self._path = path
        self._bytes_max = bytes_max
        self._kept = kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, line: bytes) -> None:
        """Append one line."""
        if self._size and self._size + len(line) > self._bytes_max:
            self._rotate()
        self._file.write(line)
        self._size += len(line)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._kept + 1))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self._file = self._path.open("ab", buffering=0)
        self._size = 0
