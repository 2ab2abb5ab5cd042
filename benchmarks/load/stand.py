"""One step: the real stack with so many instruments on a Postgres of its own, Locust's process beside it, and what was seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import msgspec
import psycopg
from sqlalchemy import URL

from benchmarks.load.breaking import Signs
from benchmarks.load.event_path import VenueTime
from benchmarks.load.processes import Cost, Counted, Processes, others_cores, restarts
from benchmarks.load.symbols import instruments_of
from benchmarks.load.told import MEASURING, Heard, Told
from libs.common.codec import decode_from
from libs.common.messages import AgentSignals, FeedMarks
from libs.runtime.clock import VenueClock
from services.cli.child import die_with_parent
from services.cli.console_link import CONSOLE_TOKEN
from tests.chaos.free import DEV
from tests.chaos.stack import DECIDING, ChaosStack
from tests.e2e.ledger.databases import LocalPostgres

ROOT = Path(__file__).resolve().parents[2]
PRICE_AGE_MS_MAX = 2_000
"""The gate's own limit on the age of a price (BULKHEAD_RISK_PRICE_AGE_MS_MAX), of our time."""
AGES_MS = {
    "BULKHEAD_RISK_PRICE_AGE_MS_MAX": PRICE_AGE_MS_MAX,
    "BULKHEAD_FEED_MARK_INTERVAL_MS": 250,
    "BULKHEAD_FEED_MARK_GAP_MS": 50,
    "BULKHEAD_FEED_MARK_HEARTBEAT_MS": 1_000,
    "BULKHEAD_FEED_ALIVE_WINDOW_MS": 5_000,
    "BULKHEAD_FEED_STALENESS_MS_MAX": 10_000,
    "BULKHEAD_FEED_GRACE_MS": 500,
    "BULKHEAD_FEED_DOWN_MS_MAX": 2_000,
    "BULKHEAD_FEED_LEAVE_MS": 5_000,
    "BULKHEAD_RISK_APPROVAL_TTL_MS": 10_000,
    "BULKHEAD_RISK_RECONCILED_AGE_MS_MAX": 180_000,
    "BULKHEAD_EXEC_RECONCILE_INTERVAL_MS": 60_000,
    "BULKHEAD_EXEC_RECV_WINDOW_MS": 5_000,
    "BULKHEAD_EXEC_PROTECT_TTL_MS": 10_000,
    "BULKHEAD_EXEC_ASK_TTL_MS": 30_000,
    "BULKHEAD_EXEC_COVER_MS_MAX": 10_000,
    "BULKHEAD_EXEC_SOFT_STOP_MS": 2_000,
}
"""A deployment's own ages, of our time; as many times longer as the market's clock is faster than ours. The interval of reconciliations
is one of them because venues count requests in minutes of ours: reconciling each instrument more often would starve the feed of them."""
SPEED_MAX = 10.0
"""Beyond it some of the ages are longer than their settings allow."""
TRADING = {
    **DEV,
    "BULKHEAD_FEED_HISTORY_BARS": "100",
    "BULKHEAD_FEED_HISTORY_WEEKS": "2",
    "BULKHEAD_SIM_BALANCES": "USDT=50000",
    "BULKHEAD_SIM_WEIGHT_LIMIT": "0",
    "BULKHEAD_GATEWAY": "true",
    "BULKHEAD_GATEWAY_RATE_ADDRESS": "1000000",
    "BULKHEAD_GATEWAY_RATE_CALLER": "1000000",
    "BULKHEAD_PORTFOLIO_STOP_ATR": "12",
    "BULKHEAD_PORTFOLIO_TARGET_ATR": "16",
    "BULKHEAD_RISK_STOP_ATR_MAX": "30",
    "BULKHEAD_RISK_DAY_VOLUME_SHARE_MAX": "0.5",
    "BULKHEAD_RISK_POSITIONS_MAX": "100",
    "BULKHEAD_RISK_ORDERS_PER_SECOND_MAX": "1000",
    "BULKHEAD_RISK_ORDERS_PER_MINUTE_MAX": "10000",
}
"""So that much is decided and some of it approved: one-minute bars, quick indicators, wide stops, no limit on how many orders there are."""
WARM_UP_S = 60.0
"""What a start took of the venue's request weight counts for a minute, and holds up whoever asks the venue meanwhile."""
WARM_S_MAX = 240.0
YOUNG_NS = 2_000_000_000
MARKS = f"{FeedMarks.said_by}.{FeedMarks.suffix}"
MUTE = 1_000_000
"""How far behind the log a service is taken to be that does not say it."""
LOOK_EVERY_S = 2.0
_PROJECTION = re.compile(r"^bulkhead_ledger_projection_lag_(events|seconds)(?:\{.*\})? (\S+)$", re.MULTILINE)
_WEIGHT = "X-MBX-USED-WEIGHT-1M"
_ROWS = "SELECT coalesce(sum(n_tup_ins + n_tup_upd), 0), (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) FROM pg_stat_user_tables"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is made: how fast the market's clock goes, how long a window is, the Python that has locust,
    and where homes are kept (None: nowhere)."""

    speed: float
    seconds: float
    locust: Path
    keep: Path | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one step showed. `lags` is the most messages behind the log, for each service; `up_s` is from start to a warm opinion of all instruments,
    `weight` the most request weight in a minute that the venue counted, ours and the watchers'."""

    count: int
    up_s: float
    heard: Heard
    costs: list[Cost]
    others_cores: float
    lags: dict[str, int]
    signs: Signs
    rows_per_s: float
    commits_per_s: float
    projection_behind: tuple[int, float]
    weight: int


class NotUp(Exception):
    """The stack did not come so far that there was anything to measure."""


async def run_step(count: int, given: Given, postgres: LocalPostgres, home: Path) -> Step:
    """Bring it up, load it, take it down.

    Raises:
        NotUp: with what was waited for.
    """
    names = instruments_of(count)
    listed, database = ",".join(names), postgres.new()
    stack = ChaosStack(
        home,
        **TRADING,
        **{name: str(round(ms * given.speed)) for name, ms in AGES_MS.items()},
        BULKHEAD_SIM_INSTRUMENTS=listed,
        BULKHEAD_INSTRUMENTS=listed,
        BULKHEAD_SIM_SPEED=str(given.speed),
        BULKHEAD_SIM_START=datetime.now(UTC).isoformat(),
        DATABASE_URL=database.render_as_string(hide_password=False),
    )
    began = time.monotonic()
    try:
        try:
            await stack.start()
            await stack.until(
                _is_warm(stack, names, given.speed), WARM_S_MAX, f"prices and warm opinions of {count} instruments"
            )
        except TimeoutError as error:
            raise NotUp(str(error)) from error
        up_s = time.monotonic() - began
        async with contextlib.AsyncExitStack() as open_:
            watch = await Watch.of(open_, stack, names, given, postgres.pid, database)
            return await watch.step(up_s)
    finally:
        await stack.stop()


def _is_warm(stack: ChaosStack, names: tuple[str, ...], speed: float) -> Callable[[], bool]:
    """Whether the log has told a price of each instrument, and an agent has had a warm opinion of all at once, about bars that have just closed.

    Before that the feed is still fetching history, and bars wait for it. Looks at every message once.
    """
    seen, wanted, is_answered = 0, set(names), False

    def warm() -> bool:
        nonlocal seen, is_answered
        for entry in stack.entries[seen:]:
            if entry.subject == MARKS or entry.subject.endswith(f".{AgentSignals.suffix}"):
                message = decode_from(entry.subject, entry.payload)
                if isinstance(message, FeedMarks):
                    wanted.difference_update(mark.instrument for mark in message.marks)
                elif isinstance(message, AgentSignals):
                    is_young = message.ts_init - message.end_ts < YOUNG_NS * speed
                    is_answered |= is_young and {each.instrument for each in message.signals if each.ready} >= set(
                        names
                    )
        seen = len(stack.entries)
        return is_answered and not wanted

    return warm


class Watch:
    """A running stack with Locust's process beside it."""

    def __init__(self, stack: ChaosStack, locust: asyncio.subprocess.Process, processes: Processes, database: URL):
        self._stack = stack
        self._locust = locust
        self._processes = processes
        self._database = database.set(drivername="postgresql").render_as_string(hide_password=False)
        self._lags: list[dict[str, int]] = []
        self._behind = (0, 0.0)
        self._weight = 0
        self._http: aiohttp.ClientSession
        self._count = 0
        self._seconds = 0.0

    @classmethod
    async def of(
        cls,
        open_: contextlib.AsyncExitStack,
        stack: ChaosStack,
        names: tuple[str, ...],
        given: Given,
        postgres_pid: int,
        database: URL,
    ) -> Watch:
        """Start Locust's process."""
        told = Told(
            home=str(stack.home),
            nats_url=stack.ports.nats_url,
            sim_url=stack.ports.sim_url,
            api_url=f"http://127.0.0.1:{stack.ports.gateway}",
            api_token=(stack.home / "keys" / CONSOLE_TOKEN).read_text().strip(),
            time=await venue_time(stack.ports.clock_url),
            instruments=names,
            price_age_ms_max=PRICE_AGE_MS_MAX,
            warm_up_s=WARM_UP_S,
            seconds=given.seconds,
        )
        with (stack.home / "locust.err").open("wb") as err:
            locust = await asyncio.create_subprocess_exec(
                str(given.locust),
                "-m",
                "benchmarks.load.users",
                msgspec.json.encode(told).decode(),
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)},
                stdout=asyncio.subprocess.PIPE,
                stderr=err,
                limit=1 << 24,
                preexec_fn=die_with_parent(os.getpid()),
            )
        open_.push_async_callback(_ended, locust)
        supervisor: int = json.loads((stack.home / "stack.json").read_text())["supervisor_pid"]
        processes = Processes(supervisor, postgres_pid, locust=locust.pid, observer=os.getpid())
        watch = cls(stack, locust, processes, database)
        watch._count, watch._seconds = len(names), given.seconds
        watch._http = await open_.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))
        return watch

    async def step(self, up_s: float) -> Step:
        """Wait until the window begins, look now and then until it ends, and sum up."""
        assert (line := await self._line()) == MEASURING, line
        rows, before = self._rows(), self._processes.count(time.monotonic())
        looking = asyncio.create_task(self._look())
        heard = msgspec.json.decode(await self._line(), type=Heard)
        after = self._processes.count(time.monotonic())
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        return self._summed_up(up_s, heard, before, after, rows)

    def _summed_up(self, up_s: float, heard: Heard, before: Counted, after: Counted, rows: tuple[int, int]) -> Step:
        window = after.at_s - before.at_s
        written, commits = (now - then for now, then in zip(self._rows(), rows, strict=True))
        costs = self._processes.costs(before, after)
        half, end = self._lags[len(self._lags) // 2], self._lags[-1]
        signs = Signs(
            stale_share=heard.stale_share,
            feed_states=tuple(heard.feed_states),
            lags={name: (half[name], end[name]) for name in DECIDING},
            restarts=restarts(before, after),
        )
        return Step(
            count=self._count,
            up_s=up_s,
            heard=heard,
            costs=costs,
            others_cores=others_cores(before, after, costs),
            lags={name: max(each[name] for each in self._lags) for name in DECIDING},
            signs=signs,
            rows_per_s=written / window,
            commits_per_s=commits / window,
            projection_behind=self._behind,
            weight=self._weight,
        )

    async def _line(self) -> str:
        assert self._locust.stdout is not None
        line = await asyncio.wait_for(self._locust.stdout.readline(), 120 + self._seconds)
        if not line:
            raise NotUp("Locust's process ended:\n" + (self._stack.home / "locust.err").read_text()[-2_000:])
        return line.decode().strip()

    async def _look(self) -> None:
        """How far everybody is behind the log, and SQL behind what was read of it."""
        while True:
            states = await self._stack.readiness()
            mute = MUTE + len(self._lags)  # whoever does not answer falls behind by every look
            lags = {name: state["lag"] if state else mute for name, state in zip(DECIDING, states, strict=True)}
            self._lags.append(lags)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                found = dict(_PROJECTION.findall(await self._metrics("ledger")))
                events, seconds = self._behind
                self._behind = (max(events, int(float(found["events"]))), max(seconds, float(found["seconds"])))
                async with self._http.get(f"{self._stack.ports.sim_url}/api/v3/ping") as answer:
                    self._weight = max(self._weight, int(answer.headers[_WEIGHT]))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _metrics(self, service: str) -> str:
        async with self._http.get(f"http://127.0.0.1:{self._stack.ports.service(service)}/metrics") as answer:
            return await answer.text()

    def _rows(self) -> tuple[int, int]:
        """Rows that were inserted or updated, and commits, since the database was made."""
        with psycopg.connect(self._database) as connection:
            rows, commits = connection.execute(_ROWS).fetchone() or (0, 0)
        return int(rows), int(commits)


async def venue_time(url: str) -> VenueTime:
    """What the venue's clock says now, and how fast it goes."""
    clock = VenueClock(url)
    await clock.connect()
    found = VenueTime(clock.now(), time.time_ns(), clock.speed)
    await clock.close()
    return found


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()
