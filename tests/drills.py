"""`make drills`: every alert on its way, from what is wrong to the message that people read, through a real Prometheus and Alertmanager.

First what can be done to a running stack is done to it. For the rest a page of our own says sick things beside the stack (`planted`): the rules, the
routes and the message are the real ones, what is wrong is played. `--long` adds what has to last for five or ten minutes before it is told.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from libs.desk.commands import Order
from services.cli.command import say
from tests.monitored import Watched, missing, monitored

EXTRA_S = 60.0
"""So much longer than an alert has to last it may take until somebody reads of it: a scrape, an evaluation, a group."""
TICKET = 30.0
"""Tickets are collected for so long."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is done to the stack, the words that people must read of it, and within how many seconds."""

    name: str
    words: tuple[str, ...]
    act: Callable[[Watched], AbstractAsyncContextManager[None]]
    seconds: float = 60.0


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """Sick things that are said at once, by the alert that each of them must raise (`#` counts up at every scrape); `without` are not scraped meanwhile."""

    name: str
    sick: dict[str, str]
    seconds: float
    without: tuple[str, ...] = ()
    is_long: bool = False


# --- done to the stack ------------------------------------------------------------------------------------------------


def _kept_down(service: str) -> Callable[[Watched], AbstractAsyncContextManager[None]]:
    return lambda watched: watched.kept_down(service)


@asynccontextmanager
async def _halted(watched: Watched) -> AsyncIterator[None]:
    await say(watched.place, Order(word="HALT", reason="a drill", author="drill"), wait_s=10)
    yield
    await say(watched.place, Order(word="RESUME", reason="the drill is over", author="drill"), wait_s=10)


@asynccontextmanager
async def _guessing(watched: Watched) -> AsyncIterator[None]:
    """Somebody tries tokens, for longer than one scrape: a counter that is there from its first scrape on has not grown."""
    url = f"http://127.0.0.1:{int((watched.home / 'gateway' / 'port').read_text())}/api/v1/status"

    async def guess() -> None:
        while True:
            async with watched.http.get(url, headers={"Authorization": "Bearer bh_wrong_guess"}):
                await asyncio.sleep(0.4)

    guessing = asyncio.create_task(guess())
    try:
        yield
    finally:
        guessing.cancel()


@asynccontextmanager
async def _not_scraped(watched: Watched) -> AsyncIterator[None]:
    watched.configure(without=("risk-gate",))
    watched.reload()
    yield
    watched.configure()
    watched.reload()
    await watched.answers("bulkhead_mark_age_seconds")


DONE = (
    Done(name="the feed is ended again and again", words=("PAGE", "ServiceDown", "market-feed"), act=_kept_down("market-feed")),
    Done(name="the executor is ended again and again", words=("PAGE", "ServiceDown", "order-executor"), act=_kept_down("order-executor")),
    Done(name="an operator halts", words=("PAGE", "TradingHalted"), act=_halted),
    Done(name="somebody guesses tokens", words=("TICKET", "TokensGuessed"), act=_guessing, seconds=120),
    Done(name="nobody scrapes the gate", words=("PAGE", "TargetsMissing"), act=_not_scraped, seconds=130),
    Done(name="nobody scrapes the gate, and so nobody says how old prices are", words=("PAGE", "PricesUnknown"), act=_not_scraped, seconds=460),
    Done(name="an agent is ended again and again", words=("TICKET", "ServiceDown", "agent-trend"), act=_kept_down("agent-trend"), seconds=240),
)  # fmt: skip

# --- played -----------------------------------------------------------------------------------------------------------

_LONG_AGO = "1000000000"
WAVES = (
    Wave(
        name="one thing each",
        seconds=120 + TICKET + EXTRA_S + 60,
        sick={
            "StopUncovered": 'bulkhead_stop_uncovered_notional{instrument="DRILL-USDT"} 500',
            "OrderUnknown": "bulkhead_exec_orders_unknown 1",
            "ExecutorLeader": 'bulkhead_leader{service="order-executor"} 1',
            "OrderRefusedRoom": 'bulkhead_venue_weight_refused_total{service="order-executor",venue="drill",lane="orders"} #',
            "OrdersFailing": 'bulkhead_exec_submit_seconds_count{outcome="REJECTED"} #',
            "PriceStale": 'bulkhead_mark_age_seconds{instrument="DRILL-USDT"} 999',
            "BarsOverdue": 'bulkhead_feed_bar_overdue_seconds{timeframe="1m"} 999',
            "VenueClockSkew": 'bulkhead_exec_venue_clock_offset_seconds{venue="drill"} -3',
            "ApiWeightHigh": 'bulkhead_venue_weight_used{service="drill",venue="drill"} 95\nbulkhead_venue_weight_limit{service="drill",venue="drill"} 100',
            "VenueQuiet": 'bulkhead_venue_breaker_open{service="drill",venue="drill"} 1',
            "UserStreamDown": 'bulkhead_exec_user_stream_up{venue="drill"} 0',
            "DrawdownNoEntries": "bulkhead_book_drawdown_ratio 0.11",
            "DailyLossNear": "bulkhead_risk_daily_loss_ratio 0.025",
            "BooksDiffer": "bulkhead_book_reconciled 0",
            "BalancesDiffer": 'bulkhead_alerts_raised_total{code="BALANCE_MISMATCH",severity="ticket"} #',
            "DatabaseBehind": "bulkhead_ledger_projection_lag_seconds 99",
            "ServiceCrashLoop": "process_start_time_seconds #",
            "ConsumerBehind": 'bulkhead_log_lag{service="drill"} 6000',
            "OutboxStuck": 'bulkhead_outbox{service="drill"} 200',
            "EventRejected": 'bulkhead_rejected_total{service="drill",reason="BAD"} #',
            "ClockSkew": "bulkhead_clock_offset_seconds 3",
            "BackupOld": f"bulkhead_backup_timestamp_seconds {_LONG_AGO}",
            "RestoreUnproven": f"bulkhead_restore_proven_timestamp_seconds {_LONG_AGO}",
            "ModelFailing": 'bulkhead_model_askings_total{end="timeout"} #',
            "ChannelDown": 'bulkhead_breaker_state{service="notifier",name="drill"} 2',
        },
    ),
    Wave(
        name="causes, whose symptoms are not said beside them",
        seconds=60 + TICKET + EXTRA_S,
        sick={
            "DrawdownHalt": "bulkhead_book_drawdown_ratio 0.2",
            "DailyLossReached": "bulkhead_risk_daily_loss_ratio 0.05",
            "BusStoreFull": "bulkhead_bus_store_bytes 99\nbulkhead_bus_store_limit_bytes 100",
            "DiskFull": "bulkhead_disk_free_bytes 1000000000\nbulkhead_disk_size_bytes 1000000000000",
            "DatabaseNotWritten": "bulkhead_ledger_projection_up 0",
        },
    ),
    Wave(
        name="what only the real one says is not heard",
        seconds=120 + TICKET + EXTRA_S,
        without=("risk-gate", "market-feed", "ledger"),
        sick={
            "PricesGone": 'bulkhead_mark_age_seconds{instrument="DRILL-USDT"} 999',
            "FeedSilent": 'bulkhead_feed_speaks{venue="drill",via="SOCKETS"} 0',
            "ServiceNotReady": 'bulkhead_ready{service="ledger"} 0',
        },
    ),
    Wave(
        name="what has to last",
        seconds=600 + TICKET + EXTRA_S,
        is_long=True,
        sick={
            "FeedPolling": 'bulkhead_feed_speaks{venue="drill",via="POLLING"} 1',
            "LimitNearlyUsed": 'bulkhead_risk_limit_used_ratio{limit="gross_exposure"} 0.95',
            "DrawdownHalfRisk": "bulkhead_book_drawdown_ratio 0.06",
            "ConsumerFallsBehind": 'bulkhead_log_lag{service="drill"} #',
            "BusStoreLow": "bulkhead_bus_store_bytes 85\nbulkhead_bus_store_limit_bytes 100",
            "DiskLow": "bulkhead_disk_free_bytes 10000000000\nbulkhead_disk_size_bytes 1000000000000",
            "ModelRouteClosed": 'bulkhead_breaker_state{service="agent-llm",name="drill"} 2',
        },
    ),
)  # fmt: skip
NOT_DRILLED = {
    "BackupMissing": "has to last a day; tried by its scene alone",
    "Watchdog": "always fires; the dead man's switch of every drill hears it",
}


class Planted:
    """A page of metrics that says what it is told to."""

    def __init__(self) -> None:
        self.sick: tuple[str, ...] = ()
        self.address = ""
        self._scrapes = 0
        self._runner: web.AppRunner

    async def start(self) -> None:
        """Listen on a port of the system's choice."""
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self._scrapes += 1
        text = "\n".join(self.sick).replace("#", str(1000 + 100 * self._scrapes))
        return web.Response(text=f"{text}\n", content_type="text/plain")


async def done(watched: Watched, drill: Done) -> float:
    """How many seconds it took until people read of it.

    Raises:
        TimeoutError: they did not.
    """
    began = time.monotonic()
    async with drill.act(watched):
        await watched.reads(*drill.words, seconds=drill.seconds)
        return time.monotonic() - began


async def played(watched: Watched, wave: Wave, planted: Planted) -> dict[str, float]:
    """By alert, how many seconds it took until people read of it; what is not in it was not heard of."""
    planted.sick = tuple(wave.sick.values())
    watched.configure(without=wave.without, beside={"planted": planted.address})
    watched.reload()
    began, found = time.monotonic(), dict[str, float]()
    first = len(watched.telegram.chats.sent)
    while len(found) < len(wave.sick) and time.monotonic() - began < wave.seconds:
        for sent in watched.telegram.chats.sent[first:]:
            for alert in wave.sick:
                if f"<b>{alert}</b>" in sent.text and "<b>OVER</b>" not in sent.text:
                    found.setdefault(alert, time.monotonic() - began)
        await asyncio.sleep(0.5)
    planted.sick = ()
    watched.configure()
    watched.reload()
    return found


async def run(*, long: bool) -> int:
    """All drills; returns how many alerts nobody read of."""
    unheard, planted = 0, Planted()
    await planted.start()
    with tempfile.TemporaryDirectory() as folder:
        async with monitored(Path(folder)) as watched:
            for drill in DONE:
                try:
                    print(f"done    {await done(watched, drill):6.1f} s  {drill.words[1]}: {drill.name}", flush=True)
                except TimeoutError:
                    unheard += 1
                    print(f"done   NOT HEARD within {drill.seconds:.0f} s  {drill.words[1]}: {drill.name}", flush=True)
            for wave in WAVES:
                if wave.is_long and not long:
                    continue
                found = await played(watched, wave, planted)
                for alert in wave.sick:
                    took = f"{found[alert]:6.1f} s" if alert in found else f"NOT HEARD within {wave.seconds:.0f} s"
                    print(f"played  {took}  {alert}", flush=True)
                unheard += len(set(wave.sick) - set(found))
            beats = len(watched.switch.beats)
            print(f"the dead man's switch heard the Watchdog {beats} times", flush=True)
    await planted.stop()
    return unheard + (not beats)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="also what has to last for five or ten minutes")
    asked = parser.parse_args()
    if reason := missing():
        print(reason)
        return 2
    unheard = asyncio.run(run(long=asked.long))
    print("every alert was heard of" if not unheard else f"{unheard} were not heard of")
    return 1 if unheard else 0


if __name__ == "__main__":
    sys.exit(main())
