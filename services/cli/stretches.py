"""Which code wrote which stretch of the log, as the state folder remembers it, and whether this code can read all of it.

A release that is rolled back may find events of types that it has never heard of. A machine would refuse each (`EVENT_REJECTED`) and decide on without it, which
is right for a stranger's nonsense and wrong for a halt in new words. So whoever opens the log looks before any service starts: if code that knew more types than
ours wrote a stretch of it, that stretch is read, and one event that we do not know is enough to start nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import msgspec

from libs.common.messages import ALL
from libs.common.messages.retired import RETIRED
from libs.runtime.adapter import LogEntry
from libs.runtime.code_version import tree_version
from libs.runtime.version import version

FILE = "written_by.json"


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """From event `since` on, code of this version and digest wrote the log, and knew these types of events. `began_at` is wall time (ns UTC)."""

    since: int
    version: str
    tree: str
    types: tuple[str, ...]
    began_at: int = 0

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.version} ({self.tree[:8]})" if self.tree else "code that nobody wrote down"


UNRECORDED = Stretch(since=1, version="", tree="", types=())
RESTORED = Stretch(since=1, version="a backup", tree="restored", types=())
"""A log that has just come out of a backup: whoever wrote it is not known here, and it is in a backup already."""


class Unknown(msgspec.Struct, kw_only=True):
    """Events of one type that this code does not know: how many, and where the first stands."""

    first_seq: int
    count: int = 0


class _Typed(msgspec.Struct):
    """The one field that says what the others mean."""

    type: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,80}\.v[0-9]{1,6}$")]


def types_known() -> tuple[str, ...]:
    """Every type and version of event that this code reads."""
    return tuple(sorted(str(kind.__struct_config__.tag) for kind in (*ALL, *RETIRED)))


def ours(since: int) -> Stretch:
    """What the code at hand is about to write."""
    return Stretch(since=since, version=version(), tree=tree_version(), types=types_known(), began_at=time.time_ns())


def read_stretches(home: Path) -> list[Stretch]:
    """What the state folder remembers, the oldest first; empty if it remembers nothing.

    Raises:
        OSError, msgspec.MsgspecError: the file is there and cannot be read.
    """
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=list[Stretch])
    except FileNotFoundError:
        return []


def write_stretches(home: Path, stretches: list[Stretch]) -> None:
    """Remember them, whole or not at all."""
    draft = home / f"{FILE}.draft"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(stretches), indent=1) + b"\n")
    draft.replace(home / FILE)


def doubtful_from(stretches: list[Stretch], known: tuple[str, ...]) -> int:
    """From which event on the log may hold types outside of `known`; 0: nowhere. What nobody wrote down is doubtful."""
    return min(
        (each.since for each in stretches or [UNRECORDED] if not each.types or set(each.types) - set(known)), default=0
    )


async def unknown_in(entries: AsyncIterator[LogEntry], known: tuple[str, ...]) -> dict[str, Unknown]:
    """The types among `entries` that are outside of `known`. What names no type is a stranger's nonsense, and the machines' to refuse."""
    found: dict[str, Unknown] = {}
    names, decoder = frozenset(known), msgspec.json.Decoder(_Typed)
    async for entry in entries:
        try:
            kind = decoder.decode(entry.payload).type
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if kind not in names:
            found.setdefault(kind, Unknown(first_seq=entry.seq)).count += 1
    return found
