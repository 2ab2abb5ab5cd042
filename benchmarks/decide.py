"""What a decision costs: every agent, the portfolio and the gate, for one batch of closed bars; beside reading and writing the same messages.

    python -m benchmarks.decide [--instruments 100] [--bars 64] [--no-model]        prints JSON; times are CPU ms per batch

The machines are those of a deployment with default settings, warm from 500 bars of each timeframe and 80 weeks; the market is random walks that drift, so
that some are entered. Messages go from writer to reader as bytes, as over the log: each service decodes, decides, encodes. Nothing is sent:
no bus, no disk, no model (it answers `not_configured` at once). The floor decodes and encodes the same messages for the same readers
and decides nothing; both take turns, batch by batch. A batch at a full hour or at a multiple of four holds the longer bars as well.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections import deque
from random import Random
from typing import Any

import msgspec

from libs.common.codec import decode, encode
from libs.common.ids import derive_id
from libs.common.messages import (
    Bar,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    Message,
    ModelAnswered,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    TimerFired,
)
from libs.common.timeframe import STEP
from libs.runtime.contract import Contract
from libs.runtime.machine import Perform, Publish, Reject, SetTimer
from libs.runtime.registry import contract_of, machine_of, settings_of
from services.risk_gate.limits import Limits
from services.signal_agents.llm.paper import no_model
from services.signal_agents.portfolio.settings import Settings as PortfolioSettings
from tests.unit.risk_gate.book import equity, mark, marks, reconciled, spec

BEGIN = 1_767_571_200_000_000_000
TIMEFRAMES = ("15m", "1h", "4h")
HISTORY = {"15m": 500, "1h": 500, "4h": 500, "1d": 80, "1w": 80}
AGENTS = ("agent-trend", "agent-macro", "agent-levels", "agent-llm")
SERVICES = (*AGENTS, "portfolio", "risk-gate")
BOOK = "30000"
"""Equity: entries of it stay below the largest order the gate allows."""


class Seat:
    """One service: its machine, what it reads, and the CPU seconds it and its floor have used in this batch."""

    def __init__(self, service: str, settings: Any):
        self.contract: Contract = contract_of(service)
        self.machine: Any = machine_of(service)(settings)
        self.hears = {*self.contract.consumes, *(kind for kind in self.contract.says if kind is ModelAnswered)}
        self.spent = self.floor = 0.0
        self.timers: dict[str, int] = {}
        self._said = 0

    def tell(self, payload: bytes, now: int) -> list[bytes]:
        """What it says to a message, as bytes."""
        began = time.process_time()
        effects = self.machine.handle(decode(payload), now)
        said = [encode(self._stamped(effect, now)) for effect in effects if isinstance(effect, Publish | Perform)]
        self.spent += time.process_time() - began
        for effect in effects:
            if isinstance(effect, Reject):
                raise SystemExit(f"{self.contract.service} refuses {payload[:200]!r}: {effect}")
            if isinstance(effect, SetTimer):
                self.timers[effect.name] = effect.due
        began = time.process_time()
        decode(payload)
        for each in said:
            encode(decode(each))
        self.floor += time.process_time() - began
        return said

    def _stamped(self, effect: Publish | Perform, now: int) -> Message:
        self._said += 1
        message = no_model(effect.request_id, now) if isinstance(effect, Perform) else effect.message
        made = derive_id(self.contract.writer, self._said)
        return msgspec.structs.replace(
            message,
            id=made,
            ts_event=now,
            ts_init=now,
            correlation_id=message.correlation_id or made,
            producer=self.contract.writer,
        )


class Market:
    """Random walks with a drift of their own, and the bars of every timeframe they make."""

    def __init__(self, count: int):
        self._random = Random(7)  # noqa: S311  a market, not a secret
        self.names = tuple(f"C{number:03}-USDT" for number in range(count))
        self.px = {name: self._random.uniform(50, 200) for name in self.names}
        self._drift = {name: self._random.choice((-1, 0, 1)) * 0.0004 for name in self.names}
        self._open: dict[tuple[str, str], list[float]] = {}

    def bar(self, name: str, timeframe: str, end_ts: int, opened: float, high: float, low: float, close: float) -> Bar:
        """A bar of these prices."""
        return Bar(
            instrument=name,
            venue="binance",
            timeframe=timeframe,  # type: ignore[arg-type]
            ts_open=end_ts - STEP[timeframe],
            ts_close=end_ts,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=1_000.0,
        )

    def history(self, name: str, timeframe: str) -> FeedHistory:
        """So many bars before the beginning."""
        step, bars = STEP[timeframe], []
        last = (BEGIN // step) * step if timeframe != "1w" else BEGIN
        px = self.px[name] * 0.8
        for back in range(HISTORY[timeframe], 0, -1):
            close = px * (1 + self._random.gauss(self._drift[name], 0.003))
            high, low = max(px, close) * 1.001, min(px, close) * 0.999
            bars.append(self.bar(name, timeframe, last - (back - 1) * step, px, high, low, close))
            px = close
        return FeedHistory(instrument=name, timeframe=timeframe, bars=tuple(bars))  # type: ignore[arg-type]

    def closed(self, end_ts: int) -> FeedBars:
        """The bars that close at `end_ts`: 15m, and whatever longer ones end there."""
        bars = []
        for name in self.names:
            opened = self.px[name]
            close = opened * (1 + self._random.gauss(self._drift[name], 0.003))
            self.px[name] = close
            high, low = max(opened, close) * 1.001, min(opened, close) * 0.999
            for timeframe in TIMEFRAMES:
                part = self._open.setdefault((name, timeframe), [opened, high, low])
                part[1], part[2] = max(part[1], high), min(part[2], low)
                if end_ts % STEP[timeframe] == 0:
                    bars.append(self.bar(name, timeframe, end_ts, part[0], part[1], part[2], close))
                    del self._open[name, timeframe]
        return FeedBars(end_ts=end_ts, bars=tuple(bars))


class Floor:
    """All seats around one log."""

    def __init__(self, names: tuple[str, ...], *, waits: bool):
        portfolio = PortfolioSettings(portfolio_model="confirm" if waits else "off", portfolio_denial_cooldown_ms=0)
        given: dict[str, Any] = {name: settings_of(name)().machine() for name in AGENTS}
        given |= {"portfolio": portfolio.machine(), "risk-gate": Limits(instruments=names)}
        self.seats = [Seat(name, given[name]) for name in SERVICES]
        self.counts: dict[str, int] = {}

    def say(self, message: Message, now: int) -> None:
        """Put a message into the log, and let everything follow from it."""
        said_by = message.said_by if "*" not in message.said_by else "feed"
        made = derive_id("told", type(message).__name__, now, getattr(message, "instrument", ""))
        stamped = msgspec.structs.replace(
            message, id=made, ts_event=now, ts_init=now, correlation_id=made, producer=message.producer or said_by
        )
        log = deque([encode(stamped)])
        while log:
            payload = log.popleft()
            kind = type(decode(payload))
            self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
            for seat in self.seats:
                if kind in seat.hears:
                    log += seat.tell(payload, now)

    def free(self, now: int) -> None:
        """Let every wish of the portfolio go, so that the next bar can wish again: its timers go off."""
        seat = self.seats[SERVICES.index("portfolio")]
        for name, due in [*seat.timers.items()]:
            if name.startswith("intent."):
                seat.machine.handle(TimerFired(name=name, due=due, ts_init=now, producer="portfolio"), now)
        seat.timers.clear()
        for book in seat.machine.state.books.values():
            book.wish = None

    def reset(self) -> None:
        """Begin to count anew."""
        for seat in self.seats:
            seat.spent = seat.floor = 0.0


def warmed(market: Market, *, waits: bool) -> Floor:
    """Everybody, with the history of the market and enough money."""
    floor = Floor(market.names, waits=waits)
    specs = tuple(spec(name) for name in market.names)
    floor.say(FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=specs), BEGIN)
    floor.say(equity(BOOK), BEGIN)
    floor.say(reconciled(), BEGIN)
    for name in market.names:
        for timeframe in HISTORY:
            floor.say(market.history(name, timeframe), BEGIN)
    return floor


def marked(market: Market, now: int) -> FeedMarks:
    """A quote of every instrument."""
    return marks(*(mark(name, px, now) for name, px in market.px.items()), as_of=now)


def quantile(values: list[float], share: float) -> float:
    """The value below which this share lies, in ms, to a tenth."""
    return round(1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))], 1)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--bars", type=int, default=64)
    parser.add_argument("--no-model", action="store_true", help="the portfolio asks no model")
    told = parser.parse_args()
    market = Market(told.instruments)
    floor = warmed(market, waits=not told.no_model)
    gc.collect()
    gc.freeze()
    spent: dict[str, list[float]] = {name: [] for name in (*SERVICES, "all", "floor")}
    floor.counts.clear()
    for number in range(1, told.bars + 1):
        end_ts = BEGIN + number * STEP["15m"]
        floor.say(marked(market, end_ts), end_ts)
        floor.say(reconciled(), end_ts)
        batch = market.closed(end_ts)
        floor.reset()
        floor.say(batch, end_ts)
        for name, seat in zip(SERVICES, floor.seats, strict=True):
            spent[name].append(seat.spent)
        spent["all"].append(sum(seat.spent for seat in floor.seats))
        spent["floor"].append(sum(seat.floor for seat in floor.seats))
        floor.free(end_ts)
    paired = [whole / bare for whole, bare in zip(spent["all"], spent["floor"], strict=True)]
    counted = (OrderIntent, OrderApproved, OrderDenied)
    print(
        json.dumps(
            {
                "instruments": told.instruments,
                "batches": told.bars,
                "p50_ms": {name: quantile(times, 0.5) for name, times in spent.items()},
                "p99_ms": {name: quantile(times, 0.99) for name, times in spent.items()},
                "times_the_floor_p50": round(statistics.median(paired), 1),
                "messages": {kind.__name__: floor.counts.get(kind.__name__, 0) for kind in counted},
                "judged": floor.counts.get("EntryJudged", 0),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
