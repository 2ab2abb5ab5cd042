"""`bulkhead trace`: the log of a running stack, or a dump of one, searched for the story of an id."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libs.desk.story import Story, tell, timed
from libs.desk.story_search import Ambiguous
from libs.desk.story_target import LATEST, PREFIX_CHARS_MIN, newest, resolve
from services.cli.exit_codes import BAD_DUMP, FINDING, Failure
from services.cli.log_dump import Spool, read_dump
from services.cli.log_lines import BadDump
from services.cli.observer import Observer, observing
from services.cli.place import Place

TIMED_MAX = 2_000
"""Of longer stories nobody wants to read latencies, and each costs a request."""


def trace_live(place: Place, wanted: str) -> Story:
    """The story of `wanted` in the log of a running stack.

    Raises:
        Ambiguous. Failure: nothing is called so, or the log cannot be read.
    """
    return asyncio.run(_trace_live(place, wanted))


async def _trace_live(place: Place, wanted: str) -> Story:
    async with observing(place) as observer:
        with Spool() as log:
            await _copy(observer, log)
            story = story_of(log, wanted)
        if len(story.events) > TIMED_MAX:
            return story
        return timed(story, await observer.stored_at(event.seq for event in story.events))


async def _copy(observer: Observer, log: Spool) -> None:
    size = await observer.size()
    async for entry in observer.entries(max(size.first_seq, 1), size.last_seq):
        log.append(entry)


def trace_dump(path: Path, wanted: str) -> Story:
    """The story of `wanted` in a dump.

    Raises:
        Ambiguous. Failure: nothing is called so, or the dump cannot be read.
    """
    with read_from(path) as log:
        return story_of(log, wanted)


@contextmanager
def read_from(path: Path) -> Iterator[Spool]:
    """A dump, readable in any order.

    Raises:
        Failure: it cannot be read, or is none.
    """
    with Spool() as log:
        try:
            for entry in read_dump(path):
                log.append(entry)
        except BadDump as error:
            raise Failure(BAD_DUMP, str(error), "dump the log again: `bulkhead log dump FILE`") from error
        except OSError as error:
            cure = "name a file made by `bulkhead log dump`"
            raise Failure(BAD_DUMP, f"cannot read {path}: {error.strerror}", cure) from error
        yield log


@contextmanager
def read_live(place: Place) -> Iterator[Spool]:
    """The log of a running stack as it stands now, readable in any order.

    Raises:
        Failure: it cannot be read.
    """
    with Spool() as log:
        asyncio.run(_copy_all(place, log))
        yield log


async def _copy_all(place: Place, log: Spool) -> None:
    async with observing(place) as observer:
        await _copy(observer, log)


def story_of(log: Spool, wanted: str) -> Story:
    """The one story that `wanted` means.

    Raises:
        Ambiguous. Failure: nothing in this log is called so.
    """
    targets = newest(log) if wanted == LATEST else resolve(log, wanted)
    if not targets and wanted == LATEST:
        raise Failure(
            FINDING,
            f"no fill yet, and nothing wished, among {len(log):,} events",
            "wait for the first `FILL` in the console; `bulkhead status` says what the services wait for",
        )
    if not targets:
        raise Failure(
            FINDING,
            f"nothing among {len(log):,} events is called {wanted!r}",
            f"give a whole id, or at least its first {PREFIX_CHARS_MIN} characters, or `{LATEST}` for the newest fill",
        )
    if len(targets) > 1:
        raise Ambiguous(wanted, targets)
    return tell(log, targets[0])
