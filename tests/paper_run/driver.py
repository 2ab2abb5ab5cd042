"""Weeks of market through the running stack, minute by minute: venue time stands still until every service has processed the log's end.

While an order is under way the market moves by seconds: a position that is opened within a jump would have had no cover for all of it. Else a minute has two steps: to a second before its end, and to its end, at which bars close and everybody decides. While an incident lasts, and
behind one, a minute takes ten seconds of the market at a time and a little wall time after each, because what reconnects, retries and
restarts does so in wall time. If the services do not come to rest within `REST_S_MAX` the market goes on all the same: it would.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import psutil

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import AlertRaised, FeedStatus, Message, OrderApproved, OrderDenied, ServiceStarted
from libs.common.timeframe import MINUTE, SECOND
from tests.chaos.books import BOOKKEEPING, faults_told
from tests.chaos.lockstep import Unsettled
from tests.chaos.report import NOTIONAL_MIN, account_of
from tests.chaos.stack import DECIDING, NATS, ChaosStack
from tests.paper_run.anomalies import Anomalies
from tests.paper_run.market import Market, at, minutes_of
from tests.paper_run.weather import MINUTES_A_DAY, Incident

REST_S_MAX = 15.0
LOOK_S = 0.005
SLOW_STEPS = 6
SLOW_S = 0.25
UNSETTLED_S = (0.25, 0.25, 0.25, 0.25, 1.0, 1.0, 1.0, 2.0)
RECOVERY_MINUTES = 3
SETTLE_MINUTES_MAX = 10
WEIGHED = (*DECIDING, NATS)
FEED = "market-feed"


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """At the end of a day: resident MiB of every service, events in the log, wall seconds so far."""

    rss_mib: dict[str, int]
    events: int
    wall_s: float


class PaperRun:
    """One run. After `run` everything it met is in its fields."""

    def __init__(
        self, home: Path, market: Market, days: int, incidents: dict[int, Incident], *, wall_s_max: float = 1e9
    ):
        self.stack = ChaosStack(home, **market.environment())
        self.market, self.days = market, days
        self.anomalies = Anomalies()
        self.struck: Counter[str] = Counter()
        self.denials: Counter[str] = Counter()
        self.approved = 0
        self.sizes: list[Sizes] = []
        self.minutes = 0
        self.looks = self.differed = 0
        self._incidents, self._wall_s_max = incidents, wall_s_max
        self._chance = Random(market.seed)
        self._told: list[Message] = []
        self._unsettled = Unsettled()
        self._read = 0
        self._now = market.begins
        self._feed_is_live = False
        self._expected_starts = Counter(dict.fromkeys(DECIDING, 1))
        self._behind = "nothing"
        self._slow_until = 0

    async def run(self, minutes: int | None = None) -> None:
        """Play it all, or so many minutes; stops at the end of a day when `wall_s_max` is over."""
        began = time.monotonic()
        await self.stack.start()
        try:
            await self.stack.quiet()
            while self.minutes < (minutes_of(self.days) if minutes is None else minutes):
                await self._minute(self.minutes)
                self.minutes += 1
                if self.minutes % MINUTES_A_DAY == 0:
                    await self._check()
                    self._weigh(time.monotonic() - began)
                    if time.monotonic() - began > self._wall_s_max:
                        return
        finally:
            self._look()
            self.seconds_to_stop = await self.stack.stop()

    # --- the market ---------------------------------------------------------------------------------------------

    async def _minute(self, minute: int) -> None:
        incident = self._incidents.get(minute)
        if incident is not None:
            await self._strike(incident)
            for more in range(max(1, incident.minutes)):
                await self._slowly(minute + more if incident.minutes else minute)
                self.minutes += more < incident.minutes - 1
            await self._end(incident)
            await self._recover()
        else:
            end = at(self.market.begins, minute)
            await self._settle(end)
            await self._step(
                end - SECOND, of=(FEED,)
            )  # its prices are in the log; who hears them may be late until the bar
            await self._step(end)

    async def _settle(self, end: int) -> None:
        """While an order is under way the market goes in steps that are small beside the deadline of a position without cover."""
        steps = 0
        while self._unsettled.ids and self._now < end - SECOND:
            step_s = UNSETTLED_S[min(steps, len(UNSETTLED_S) - 1)]
            await self._step(min(end - SECOND, self._now + int(step_s * SECOND)))
            steps += 1

    async def _slowly(self, minute: int) -> None:
        end = at(self.market.begins, minute)
        await self._settle(end - MINUTE // 2)
        begin = max(self._now, end - MINUTE)
        for step in range(1, SLOW_STEPS + 1):
            await self._step(begin + (end - begin) * step // SLOW_STEPS, rest_s_max=SLOW_S)
            await asyncio.sleep(SLOW_S)

    async def _recover(self) -> None:
        """Give wall time and market until the feed is live and the books agree; what takes longer than it should is an anomaly."""
        for _ in range(SETTLE_MINUTES_MAX):
            self.minutes += 1
            await self._slowly(self.minutes)
            if self._feed_is_live and await self._rests(REST_S_MAX) and not await self._faults():
                return
        if not self._feed_is_live:
            self._met(
                "home not back", f"the home venue does not speak {SETTLE_MINUTES_MAX} minutes behind the incident"
            )
        await self._check()

    async def _step(self, to: int, rest_s_max: float = REST_S_MAX, of: Sequence[str] = DECIDING) -> None:
        if to > self._now:
            await self.stack.venue("advance", {"to": to})
            self._now = to
        if not await self._rests(rest_s_max, of) and rest_s_max == REST_S_MAX:
            self._met("no rest", f"the services were not at rest {REST_S_MAX:g} s after a step")

    async def _rests(self, s_max: float, of: Sequence[str] = DECIDING) -> bool:
        """Whether they have handled what there is, within `s_max`."""
        end = time.monotonic() + s_max
        while time.monotonic() < end:
            last = len(self.stack.entries)
            await asyncio.sleep(LOOK_S)
            if len(self.stack.entries) == last and await self.stack.is_at_rest(of) and len(self.stack.entries) == last:
                self._look()
                return True
        self._look()
        return False

    # --- incidents ----------------------------------------------------------------------------------------------

    async def _strike(self, incident: Incident) -> None:
        self.struck[incident.name] += 1
        self._behind = incident.name
        self._lock: sqlite3.Connection | None = None
        for fault in incident.script:
            await self.stack.venue("faults", fault)
        if incident.skew_ms:
            await self.stack.venue("clock-skew", {"ms": incident.skew_ms})
        if incident.kills:
            self._expected_starts[incident.kills] += 1
            await self.stack.until(lambda: self.stack.kill(incident.kills), 60, f"a running {incident.kills}")
        if incident.freezes:
            await self._freeze(incident.freezes)
        if incident.locks:
            self._lock = sqlite3.connect(self.stack.home / "ledger.db", isolation_level=None)
            self._lock.execute("PRAGMA busy_timeout = 10000")
            self._lock.execute("BEGIN EXCLUSIVE")
        if incident.takes_back:
            await self._take_back()

    async def _end(self, incident: Incident) -> None:
        if incident.minutes:
            await self.stack.end_faults()
        if incident.skew_ms:
            await self.stack.venue("clock-skew", {"ms": 0})
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if incident.kills:
            await self.stack.all_live()

    async def _freeze(self, name: str) -> None:
        pid = self.stack.pid_of(name)
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(2.0)
            os.kill(pid, signal.SIGCONT)

    async def _take_back(self) -> None:
        account = await self.stack.venue("account")
        resting = [each for each in account["orders"] if each["ord_status"] in ("NEW", "PARTIALLY_FILLED")]
        if resting:
            order = self._chance.choice(resting)
            asked = {"instrument": order["instrument"], "cl_ord_id": order["cl_ord_id"]}
            await self.stack.venue("account/cancel", asked)

    # --- looking ------------------------------------------------------------------------------------------------

    def _met(self, kind: str, text: str, ts: int = 0) -> None:
        self.anomalies.add(kind, ts or self._now, text, self._behind)

    def _look(self) -> None:
        """Read what is new in the log."""
        entries = self.stack.entries
        while self._read < len(entries):
            entry = entries[self._read]
            self._read += 1
            try:
                message = decode_from(entry.subject, entry.payload)
            except BadEvent as error:
                self._met("undecodable event", str(error)[:200])
                continue
            self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case AlertRaised() if message.severity != "note":
                self._met(f"alert:{message.code}", message.text, message.ts_init)
            case FeedStatus():
                self._feed_is_live = message.state == "LIVE" and bool(message.specs)
            case OrderApproved():
                self.approved += 1
            case OrderDenied():
                self.denials.update(message.reasons)
            case ServiceStarted():
                self._started(message)
        self._unsettled.hear(message)
        if isinstance(message, BOOKKEEPING):
            self._told.append(message)

    def _started(self, message: ServiceStarted) -> None:
        name = next((each for each in DECIDING if each.replace("-", "_") == message.producer.replace("-", "_")), "")
        if name:
            self._expected_starts[name] -= 1
            if self._expected_starts[name] < 0:
                self._met(f"restart:{name}", f"{name} began again without having been killed", message.ts_init)

    async def _faults(self) -> list[str]:
        account = await account_of(self.stack)
        self._look()
        found = faults_told(self._told, account, dict.fromkeys(self.market.instruments, NOTIONAL_MIN))
        self.looks += 1
        self.differed += bool(found)
        return found

    async def _check(self) -> None:
        """Books against venue, and cover; what is wrong for three minutes on end is an anomaly."""
        found: list[str] = []
        for _ in range(RECOVERY_MINUTES):
            found = await self._faults()
            if not found:
                break
            self.minutes += 1
            await self._slowly(self.minutes)
        for each in found:
            self._met("books", each)

    def _weigh(self, wall_s: float) -> None:
        rss = {}
        for name in WEIGHED:
            pid = self.stack.pid_of(name)
            rss[name] = psutil.Process(pid).memory_info().rss >> 20 if pid is not None else 0
        self.sizes.append(Sizes(rss_mib=rss, events=len(self.stack.entries), wall_s=wall_s))
        day = self.minutes // MINUTES_A_DAY
        met = sum(each.count for each in self.anomalies.met.values())
        print(
            f"day {day}: {wall_s:.0f} s, {len(self.stack.entries)} events, {self.approved} approvals, {met} anomalies",
            flush=True,
        )
