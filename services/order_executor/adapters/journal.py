"""What was improvised while the log was away, on disk before it leaves: one JSON line for each step, synced.

A step is written twice: as intended, before it is sent, and with its answer. A line that a crash has torn was never acted upon: it
is the last one, for nothing is sent before its line is on disk. The file is forgotten line by line as the log takes over: what
remains of a told step is how many attempts its owner has used, because an id must never be used again.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from services.order_executor.improvise import Improvised

NAME = "improvised.jsonl"


class Used(msgspec.Struct, frozen=True, tag="used"):
    """`owner` has used so many attempts, in steps that the log knows."""

    owner: str
    count: int


class Step(msgspec.Struct, frozen=True, tag="step"):
    """A step as it stood; the last line of an id counts."""

    order: Improvised


_DECODER = msgspec.json.Decoder(Used | Step)


class JournalBroken(Exception):
    """A line that is not the last cannot be read: the file was changed by somebody else, and a person must look at it."""


class Journal:
    """The steps of one executor, in the order in which they were intended.

    Raises:
        JournalBroken
    """

    def __init__(self, folder: Path):
        self._path = folder / NAME
        self._steps: dict[str, Improvised] = {}
        self._used: dict[str, int] = {}
        self._read()

    @property
    def steps(self) -> list[Improvised]:
        """Every step the log is not known to have."""
        return list(self._steps.values())

    @property
    def used(self) -> list[tuple[str, int]]:
        """Attempts used by owners in steps already told."""
        return list(self._used.items())

    def write(self, step: Improvised) -> None:
        """Note a step, or how it stands now; on disk when this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(Step(step)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync(self._path.parent)
        self._steps[step.cl_ord_id] = step

    def forget(self, told: Collection[str], owners: Collection[str]) -> None:
        """Leave out the steps that were told; of owners nobody knows any more, nothing is kept."""
        for cl_ord_id in told:
            step = self._steps.pop(cl_ord_id, None)
            if step is not None:
                self._used[step.owner] = max(self._used.get(step.owner, 0), step.attempt + 1)
        self._used = {owner: count for owner, count in self._used.items() if owner in owners}
        if self._path.exists():
            self._rewrite()

    def _rewrite(self) -> None:
        lines = [*(Used(*each) for each in self._used.items()), *(Step(each) for each in self._steps.values())]
        draft = self._path.with_name(f"{NAME}.draft")
        with draft.open("wb") as file:
            file.writelines(msgspec.json.encode(each) + b"\n" for each in lines)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._path)
        _sync(self._path.parent)

    def _read(self) -> None:
        if not self._path.is_file():
            return
        *lines, torn = self._path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                found = _DECODER.decode(line)
            except msgspec.DecodeError as error:
                raise JournalBroken(f"{self._path}, line {number}: {error}") from None
            if isinstance(found, Used):
                self._used[found.owner] = found.count
            else:
                self._steps[found.order.cl_ord_id] = found.order
        if torn:
            self._rewrite()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
