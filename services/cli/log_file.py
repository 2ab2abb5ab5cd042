"""The words of a stack's processes, in files that never grow beyond their bounds, and whose trouble is nobody else's.

When a file is full it becomes `.1`, and `.1` becomes `.2`: by renaming, so that whoever reads along loses no line. A folder that cannot be written and a
disk that is full cost lines, never a process: they are told once on stderr, tried again every few seconds, and a line says afterwards how many are missing.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec

BYTES_MAX = 8 * 1024 * 1024
KEPT = 3
RETRY_S = 5.0


class LogBounds(msgspec.Struct, frozen=True):
    """How large a file may be, how many older ones stand beside it, and after how many seconds a file that failed is tried again."""

    bytes_max: int = BYTES_MAX
    kept: int = KEPT
    retry_s: float = RETRY_S


def _on_stderr(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a terminal that is gone is no reason to end either
        print(text, file=sys.stderr, flush=True)


class LogFolder:
    """The logs of one stack. What is wrong with them is said once for all of them, and once when it is over."""

    def __init__(self, folder: Path, bounds: LogBounds | None = None, say: Callable[[str], None] = _on_stderr):
        self.path = folder
        self._bounds = bounds or LogBounds()
        self._say = say
        self._failing: set[str] = set()

    def log(self, name: str) -> BoundedLog:
        """The file `name`.log, which one process writes."""
        return BoundedLog(
            self.path / f"{name}.log", self._bounds, lambda error: self._failed(name, error), self._went_on
        )

    def _failed(self, name: str, error: OSError) -> None:
        if not self._failing:
            reason = error.strerror or type(error).__name__
            self._say(
                f"logs are not written to {self.path}: {reason} ({name}.log); everything else goes on without them"
            )
        self._failing.add(name)

    def _went_on(self, path: Path, lost: int) -> None:
        self._failing.discard(path.stem)
        if not self._failing:
            self._say(f"logs are written to {self.path} again; {path.name} lacks {lost} lines")


class BoundedLog:
    """Appends lines to `path`, and raises nothing. `failed` is told when that begins to fail, `went_on` when it works again, with how many lines are missing."""

    def __init__(
        self,
        path: Path,
        bounds: LogBounds,
        failed: Callable[[OSError], None],
        went_on: Callable[[Path, int], None],
    ):
        self._path = path
        self._bounds = bounds
        self._failed = failed
        self._went_on = went_on
        self._file: BinaryIO | None = None
        self._size = 0
        self._lost = 0
        self._is_torn = False
        self._next_try_s = 0.0
        try:
            self._open()
        except OSError as error:
            self._give_up(error)

    def write(self, line: bytes) -> None:
        """Append one line; it is lost, and counted, where that cannot be."""
        if self._file is None and time.monotonic() < self._next_try_s:
            self._lost += 1
            return
        try:
            if self._file is None:
                self._open()
            if self._size and self._size + len(line) > self._bounds.bytes_max:
                self._rotate()
            self._append(self._gap() + line)
        except OSError as error:
            self._lost += 1
            self._give_up(error)
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._went_on(self._path, lost)

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        self._size = self._file.tell()

    def _append(self, words: bytes) -> None:
        """All of it: the kernel takes less where the disk is nearly full, and a half line must be seen to be one."""
        left = memoryview(words)
        while left:
            taken = self._file.write(left) if self._file is not None else 0
            self._size += taken or 0
            left = left[taken or 0 :]
            self._is_torn = bool(left)

    def _gap(self) -> bytes:
        """What comes first after a time without a log: the end of the half line, and how many are missing."""
        if not self._lost:
            return b""
        told = {
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "level": "warning",
            "service": self._path.stem,
            "event": "log_lines_lost",
            "lines": self._lost,
        }
        return (b"\n" if self._is_torn else b"") + msgspec.json.encode(told) + b"\n"

    def _give_up(self, error: OSError) -> None:
        self._next_try_s = time.monotonic() + self._bounds.retry_s
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
        self._failed(error)

    def _rotate(self) -> None:
        if self._file is not None:
            self._file.close()
        path, kept = self._path, self._bounds.kept
        names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, kept + 1))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self._open()


class LogStream(io.TextIOBase):
    """A log as a stream of text, for this process's own words; a line a write."""

    def __init__(self, log: BoundedLog):
        super().__init__()
        self._log = log

    def write(self, text: str) -> int:
        """Append it."""
        self._log.write(text.encode(errors="replace"))
        return len(text)

    def close(self) -> None:
        """Release the file."""
        self._log.close()
        super().close()
