"""The gateway as the watchman's eyes and voice: measures once a second, and what he wants told goes into the log, where the notifier finds it.

What he remembers is kept in the state folder, so that a restart tells nothing twice, and so that a gateway which keeps crashing finds it out. What cannot be appended waits: the bus may be what is wrong, and then the
dead man's switch outside tells it. Where the log's store ends only its server's monitoring page says; how old the last backup is, the log itself.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from libs.common.messages import AlertRaised
from libs.desk.commands import NotSaid
from libs.desk.desk import Desk
from libs.desk.services import ServiceLine
from libs.desk.tokens import TokenBook
from libs.desk.watchman import Look, Notice, Watchman, WatchMemory
from libs.runtime.bus import BusError
from libs.runtime.registry import writer_of
from services.gateway.watch import Watch

LOOK_EVERY_S = 1.0
CLOCK_EVERY_S = 60.0
WAITING_MAX = 200
MEMORY = "watchman.json"
_log = structlog.get_logger(__name__)


class Guard:
    """One gateway's watchman. `run` looks once a second; `clock_is_ours` says whether wall time is what the stack goes by."""

    def __init__(self, desk: Desk, watch: Watch, tokens: TokenBook, home: Path, *, clock_is_ours: bool):
        self._desk = desk
        self._watch = watch
        self._tokens = tokens
        self._home = home
        self._clock_is_ours = clock_is_ours
        self._file = home / "gateway" / MEMORY
        self._own = desk.contract.service
        self._watchman = Watchman(memory=self._remembered())
        self._waiting: deque[Notice] = deque(maxlen=WAITING_MAX)
        self._offset_ms: float | None = None
        self._asked_at = -CLOCK_EVERY_S

    @property
    def clock_offset_s(self) -> float | None:
        """By how much our clock is ahead of the log server's; None: not measured, or not ours to measure."""
        return None if self._offset_ms is None else self._offset_ms / 1e3

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            if self._desk.phase.state == "LIVE":
                await self._ask_clock()
                self.look(time.time())
                await self._tell()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self, now_s: float) -> None:
        """Look once at `now_s`; what is to be told waits for `run`."""
        began = self._watchman.memory.starts.get(self._own)
        notices = self._watchman.look(self._seen(now_s))
        self._waiting.extend(notices)
        if notices or self._watchman.memory.starts.get(self._own) != began:
            self._keep()

    def _seen(self, now_s: float) -> Look:
        disk, database, tally = shutil.disk_usage(self._home), self._watch.database, self._desk.view.model_tally
        self._tokens.look(time.monotonic_ns())
        facts, store = self._desk.view.standing.facts, self._watch.store
        starts, backup = facts.starts, facts.backup
        own = ServiceLine(name=self._own, url="", up=True, ready=True, phase="live")
        seen = {**self._desk.services, self._own: own}
        return Look(
            now_s=now_s,
            services=tuple(_with_starts(line, starts) for _, line in sorted(seen.items())),
            disk_free_bytes=disk.free,
            disk_total_bytes=disk.total,
            store_bytes=None if store is None else store.bytes,
            store_bytes_max=None if store is None else store.bytes_max,
            backup_age_s=None if backup is None else backup.age_s(time.time()),
            restore_proven_s=None if backup is None else backup.unproven_s(time.time()),
            clock_offsets_ms={} if self._offset_ms is None else {"the log server": self._offset_ms},
            database_events=None if database is None else database.lag_events,
            database_s=None if database is None else database.lag_s,
            are_tokens_believed=not self._tokens.trouble,
            model=msgspec.structs.replace(tally),
        )

    async def _tell(self) -> None:
        while self._waiting:
            notice = self._waiting[0]
            try:
                await self._desk.record(AlertRaised(code=notice.code, severity=notice.severity, text=notice.text))
            except (NotSaid, BusError) as error:
                _log.warning("alert_waits", code=notice.code, reason=str(error))
                return
            self._waiting.popleft()

    async def _ask_clock(self) -> None:
        """By how much our clock is ahead of the log server's, to half a round trip. Of a simulated market's clock nobody asks this."""
        if not self._clock_is_ours or time.monotonic() - self._asked_at < CLOCK_EVERY_S:
            return
        self._asked_at = time.monotonic()
        before = time.time()
        try:
            told = await self._desk.server_time()
        except BusError:
            return
        if told:
            self._offset_ms = ((before + time.time()) / 2 - datetime.fromisoformat(told).timestamp()) * 1e3

    # --- memory -------------------------------------------------------------------------------------------------

    def _remembered(self) -> WatchMemory:
        try:
            memory = msgspec.json.decode(self._file.read_bytes(), type=WatchMemory)
        except (OSError, msgspec.MsgspecError):  # none yet, or of other code: at worst something is told twice
            return WatchMemory()
        memory.starts = {name: count for name, count in memory.starts.items() if name == self._own}
        return memory  # when others began while nobody looked, nobody knows

    def _keep(self) -> None:
        draft = self._file.with_name(f"{MEMORY}.draft")
        with suppress(OSError):  # a full disk is among what is being told
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_bytes(msgspec.json.encode(self._watchman.memory))
            draft.replace(self._file)


def _with_starts(line: ServiceLine, starts: dict[str, int]) -> ServiceLine:
    return msgspec.structs.replace(line, starts=starts.get(writer_of(line.name), 0))
