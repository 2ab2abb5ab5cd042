"""The supervisor's eye on its services: they are up when they say so, and one that has fallen silent is ended and started again.

A process that hangs does not end, so no restart policy sees it. A service that has answered on `/livez` and then has not for
`SILENT_S_MAX` is killed; the ordinary policy starts it again. One that never answered is left alone: it may be reading a long log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import aiohttp

from services.cli.child import Child

POLL_S = 2.0
ANSWER_S_MAX = 2.0
SILENT_S_MAX = 30.0
READY_S_MAX = 20.0
READY_POLL_S = 0.25


class Pulse:
    """What is known of one service's process; times in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._pid = 0
        self._has_answered = False
        self._silent_since: float | None = None

    def hangs(self, pid: int, answered: bool, now: float) -> bool:
        """Whether process `pid`, which has or has not answered just now, has been silent for too long."""
        if pid != self._pid:
            self._pid, self._has_answered = pid, False
        if answered or not self._has_answered:
            self._has_answered, self._silent_since = answered, None
            return False
        self._silent_since = now if self._silent_since is None else self._silent_since
        return now - self._silent_since >= SILENT_S_MAX


async def end_silent(services: Sequence[Child], say: Callable[[str], None]) -> None:
    """For ever: kill every service that hangs."""
    pulses = {child: Pulse() for child in services if child.spec.port}
    async with _session() as session:
        while True:
            answers = await asyncio.gather(*(_answers(session, child, "livez") for child in pulses))
            for (child, pulse), answered in zip(pulses.items(), answers, strict=True):
                if pulse.hangs(child.pid, answered, time.monotonic()) and child.is_running:
                    say(f"{child.spec.name} has not answered for {SILENT_S_MAX:g} s: it hangs, and is killed")
                    child.kill()
            await asyncio.sleep(POLL_S)


async def tell_when_ready(services: Sequence[Child], say: Callable[[str, str], None]) -> None:
    """Say once that all are live; before that, when it takes long, who is not."""
    waiting, until, told = list(services), time.monotonic() + READY_S_MAX, False
    async with _session() as session:
        while True:
            answers = await asyncio.gather(*(_is_ready(session, child) for child in waiting))
            waiting = [child for child, ready in zip(waiting, answers, strict=True) if not ready]
            if not waiting:
                say(f"all {len(services)} services are live", "bold green")
                return
            if not told and time.monotonic() >= until:
                told = True
                names = ", ".join(child.spec.name for child in waiting)
                say(f"not ready after {READY_S_MAX:g} s: {names}; their words are in the logs", "yellow")
            await asyncio.sleep(READY_POLL_S)


async def _is_ready(session: aiohttp.ClientSession, child: Child) -> bool:
    return child.is_running and (not child.spec.port or await _answers(session, child, "readyz"))


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX))


async def _answers(session: aiohttp.ClientSession, child: Child, page: str) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{child.spec.port}/{page}") as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
