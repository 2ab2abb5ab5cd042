"""Drills on a schedule, beside a follower: each is a process of its own, so that the copy goes on meanwhile, and gives way to everything else on the machine.

When the last one was stands in the archive's folder (`drill.json`): whoever follows next goes on counting from there. One that did not succeed is tried again
an hour later; the log hears of those that did, and the watchman of their absence.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from services.cli.backup.archive import BadArchive, read_manifest
from services.cli.exit_codes import FINDING, OK, UNAVAILABLE, Failure

MARK = "drill.json"
LOOK_EVERY_S = 5.0
AGAIN_S = 3600.0
END_S_MAX = 20.0
DAY_NS = 86_400 * 10**9
GIVES_WAY = 10
"""Its niceness."""


class Drilled(msgspec.Struct, frozen=True, kw_only=True):
    """The last drill: when it ended (wall time, ns UTC), with which exit code, and what it said."""

    ended_at: int
    code: int
    said: str


def last_drill(folder: Path) -> Drilled | None:
    """What the folder knows of it; None: there was none, or what is there cannot be read."""
    try:
        return msgspec.json.decode((folder / MARK).read_bytes(), type=Drilled)
    except (OSError, msgspec.MsgspecError):
        return None


def is_due(last: Drilled | None, every_days: int, now_ns: int) -> bool:
    """Whether it is time for a drill."""
    if last is None:
        return True
    pause = every_days * DAY_NS if last.code == OK else round(AGAIN_S * 10**9)
    return now_ns >= last.ended_at + pause


async def keep_drilled(
    home: Path, folder: Path, every_days: int, said: Callable[[Drilled | Failure], None], stop: asyncio.Event
) -> None:
    """Until `stop`: the archive in `folder` is brought back and compared every so many days; `said` hears of each drill."""
    while not stop.is_set():
        if _holds_something(folder) and is_due(last_drill(folder), every_days, time.time_ns()):
            try:
                drilled = await _drill(home, folder, stop)
            except OSError as error:
                drilled = Drilled(ended_at=time.time_ns(), code=UNAVAILABLE, said=f"cannot be begun: {error.strerror}")
            if drilled is None:
                return
            with suppress(OSError):  # a folder that cannot be written is the copy's to complain of
                await asyncio.to_thread((folder / MARK).write_bytes, msgspec.json.encode(drilled))
            if drilled.code == OK:
                said(drilled)
            else:
                said(
                    Failure(
                        FINDING, f"a drill failed: {drilled.said}", f"try it by hand: bulkhead backup drill {folder}"
                    )
                )
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await stop.wait()


def _holds_something(folder: Path) -> bool:
    with suppress(BadArchive):
        return bool(read_manifest(folder).last_seq)
    return False


async def _drill(home: Path, folder: Path, stop: asyncio.Event) -> Drilled | None:
    """One drill; None if it was ended because everything is."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "--home", str(home), "backup", "drill", str(folder), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, GIVES_WAY)
    speaking = asyncio.create_task(process.communicate())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({speaking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not speaking.done():
            return None
        out, err = await speaking
        text = out if process.returncode == OK else err or out
        return Drilled(
            ended_at=time.time_ns(), code=process.returncode or 0, said=text.decode(errors="replace").strip()
        )
    finally:
        stopping.cancel()
        if not speaking.done():
            process.send_signal(signal.SIGINT)  # it ends the bus that it filled, and takes away what it made
            with suppress(TimeoutError):
                await asyncio.wait_for(speaking, END_S_MAX)
