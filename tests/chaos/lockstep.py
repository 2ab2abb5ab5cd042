"""Lock-step equality: the same market, minute by minute, with and without kills, must come to the same outcome.

Venue time stands still until every service has processed the log's end, so a crash costs no market time. A minute has two steps. The
first plays the market to just before the minute's end and waits until the log's marks equal the venue's quotes; the second plays
the one trade that opens the next minute (quotes unchanged), on which the bar closes and everybody decides. So every
decision sees the same prices, whoever was dead in between.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from libs.common.codec import decode_from
from libs.common.messages import ExecutionReport, FeedBars, FeedMarks, Message, OrderApproved, OrderSubmitting
from tests.chaos.books import Outcome, faults_against, outcome_of
from tests.chaos.report import NOTIONAL_MIN, account_of
from tests.chaos.stack import DECIDING, NATS, ChaosStack

MINUTE = 60_000_000_000
INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
BEGIN = 1_767_571_200_000_000_000
"""2026-01-05 00:00 UTC, where the generated market begins."""
MARKET_SEED = 7
ENV = {
    "BULKHEAD_SIM_MODE": "step",
    "BULKHEAD_SIM_WEIGHT_LIMIT": "0",
    "BULKHEAD_INSTRUMENTS": ",".join(INSTRUMENTS),
    "BULKHEAD_SIM_INSTRUMENTS": ",".join(INSTRUMENTS),
    "BULKHEAD_EXEC_CRASH_STARTS_MAX": "1000",
    "BULKHEAD_EXEC_RECONCILE_INTERVAL_MS": "900000",
    "BULKHEAD_RISK_RECONCILED_AGE_MS_MAX": "7200000",
    "BULKHEAD_EXEC_LOSSES_IN_A_ROW_MAX": "0",
    "BULKHEAD_TREND_TIMEFRAMES": "1m",
    "BULKHEAD_TREND_EMA_FAST_SPAN": "5",
    "BULKHEAD_TREND_EMA_SLOW_SPAN": "15",
    "BULKHEAD_TREND_WILDER_N": "7",
    "BULKHEAD_TREND_ADX_THRESHOLD": "10",
    "BULKHEAD_PORTFOLIO_STOP_ATR": "8",
    "BULKHEAD_PORTFOLIO_TARGET_ATR": "50",
    "BULKHEAD_PORTFOLIO_EXIT_FLAT_BARS": "2",
    "BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX": "30000",
    "BULKHEAD_PORTFOLIO_QUOTE_AGE_MS_MAX": "600000",
    "BULKHEAD_RISK_PRICE_AGE_MS_MAX": "600000",
    "BULKHEAD_RISK_COOLDOWN_MS": "0",
    "BULKHEAD_RISK_STOP_ATR_MAX": "50",
    "BULKHEAD_RISK_LOSSES_IN_A_ROW_MAX": "0",
    "BULKHEAD_EXEC_MARK_AGE_MS_MAX": "600000",
    "BULKHEAD_EQUITY_INTERVAL_S": "0.05",
}
"""Hours of venue time pass within a minute of ours, in which the venue grants one minute's weight: books are compared every quarter of
an hour. Targets are out of reach, because a target is judged on every mark, and which marks are told between two steps is chance."""


class Unsettled:
    """`ids`: intents approved but not ended, and orders of which the venue has not spoken."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def hear(self, message: Message) -> None:
        """The next event of the log."""
        if isinstance(message, OrderApproved):
            self.ids.add(message.intent_id)
        elif isinstance(message, OrderSubmitting):
            self.ids.add(message.cl_ord_id)
        elif isinstance(message, ExecutionReport):
            if message.ord_status in ("FILLED", "CANCELED", "REJECTED", "EXPIRED"):
                self.ids -= (
                    {message.cl_ord_id, message.intent_id} if message.role in ("ENTRY", "EXIT") else {message.cl_ord_id}
                )
            elif message.ord_status in ("NEW", "PARTIALLY_FILLED"):
                self.ids.discard(message.cl_ord_id)
            else:
                self.ids.add(message.cl_ord_id)


class LockStep:
    """One run over `minutes` of market."""

    def __init__(self, home: Path, minutes: int, *, seed: int, kills: dict[str, int] | None = None):
        self.stack = ChaosStack(home, BULKHEAD_SIM_SEED=str(MARKET_SEED), **ENV)
        self.minutes = minutes
        self._random = Random(seed)
        self._killings = self._schedule(kills or {})
        self._read = 0
        self._bars_until = 0
        self._marks: dict[str, tuple[float, float]] = {}
        self._unsettled = Unsettled()

    async def run(self) -> Outcome:
        """Bring the stack up, play the market, and read the outcome."""
        await self.stack.start()
        try:
            await self.stack.quiet()
            for minute in range(self.minutes):
                killer = asyncio.create_task(self._kill(minute))
                await self._minute(minute)
                await killer
                await self.stack.all_live()
            await self.stack.quiet()
            account = await account_of(self.stack)
            found = faults_against(self.stack.entries, account, dict.fromkeys(INSTRUMENTS, NOTIONAL_MIN))
            assert not found, "\n".join(found)
            return outcome_of(self.stack.entries, account)
        finally:
            self.seconds_to_stop = await self.stack.stop()

    async def _minute(self, minute: int) -> None:
        end = BEGIN + (minute + 1) * MINUTE
        await self._step(end - 1)
        await self.stack.until(
            self._marks_settled, 60, f"the log's marks to equal the venue's quotes before minute {minute + 1}"
        )
        await self.stack.quiet()
        await self._step(end)
        await self.stack.until(lambda: self._look() and self._bars_until >= end, 60, f"the bars of minute {minute + 1}")
        await self.stack.quiet()
        await self._resolve(end)

    async def _step(self, to: int) -> None:
        await self.stack.venue("advance", {"to": to})

    async def _resolve(self, end: int) -> None:
        """What a crash has interrupted is asked for by a timer, and timers want time: give it, in small steps, not by the minute."""
        for step in range(1, 121):
            self._look()
            if not self._unsettled.ids:
                return
            await self._step(end + step * 250_000_000)
            await asyncio.sleep(0.05)
            await self.stack.quiet()
        raise AssertionError(f"still unsettled after half a minute: {self._unsettled.ids}")

    async def _marks_settled(self) -> bool:
        self._look()
        instruments = (await self.stack.venue("state"))["instruments"]
        return all(self._marks.get(name) == (quote["bid"], quote["ask"]) for name, quote in instruments.items())

    def _look(self) -> bool:
        """Read what is new in the log."""
        entries = self.stack.entries
        while self._read < len(entries):
            entry = entries[self._read]
            self._read += 1
            message = decode_from(entry.subject, entry.payload)
            if isinstance(message, FeedMarks):
                self._marks |= {each.instrument: (each.bid_px, each.ask_px) for each in message.marks}
            elif isinstance(message, FeedBars):
                self._bars_until = max(self._bars_until, message.end_ts)
            else:
                self._unsettled.hear(message)
        return True

    # --- killing ------------------------------------------------------------------------------------------------

    def _schedule(self, kills: dict[str, int]) -> dict[int, list[str]]:
        """Which process dies in which minute; one minute may see several deaths."""
        schedule: dict[int, list[str]] = {}
        for name, times in kills.items():
            for _ in range(times):
                schedule.setdefault(self._random.randrange(self.minutes), []).append(name)
        return schedule

    async def _kill(self, minute: int) -> None:
        for name in self._killings.get(minute, []):
            await asyncio.sleep(self._random.uniform(0.0, 0.4))
            await self.stack.until(lambda name=name: self.stack.kill(name), 60, f"a running {name} to kill")


def everybody(each: int, server: int) -> dict[str, int]:
    """Kill every service `each` times and nats-server `server` times."""
    return {**dict.fromkeys(DECIDING, each), NATS: server}
