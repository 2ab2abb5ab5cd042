"""A small generated market to rehearse an agent on: honest bars, and among them what a careless feed would tell too early.

    events = rehearsal("15m", bars=120, history_bars=300, seed=1)

Two instruments walk at random; a bar of `base` closes at every step, bars of longer timeframes as they end, and Monday 00:00 UTC lies in
the middle, so that every timeframe closes at least once. What is told too early is what it will have been, as it stands in any table
that is indexed by the opening of its bars:

* every history ends with a bar that is still open, as venues' own REST answers do;
* some batches hold a bar of a longer timeframe that has not closed, a week on its first day among them;
* the second instrument begins later, with its history, and all histories are told again, some bars further than time is.

An agent that uses a bar only once it has closed (`ts_close <= now`) decides the same with and without them.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from random import Random

import msgspec

from libs.common.messages import (
    Bar,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    LevelMap,
    LevelsMapped,
    MacroRegimes,
    Mark,
    Message,
    PriceZone,
    Regime,
    Timeframe,
)
from libs.common.timeframe import MILLISECOND, SECOND, STEP, TIMEFRAMES, WEEK, bar_open

INSTRUMENTS = ("BTC-USDT", "ETH-USDT")
MONDAY = bar_open(1_767_571_200 * SECOND, "1w") + WEEK
"""Where the rehearsed weeks meet, ns."""

_STEP_SD = 0.004
_AHEAD = 2
_AGAIN = 20


def rehearsal(base: Timeframe, bars: int, history_bars: int, seed: int) -> list[Message]:
    """`bars` closing instants of the timeframe `base` after `history_bars` bars of history of every timeframe that is not shorter."""
    step = STEP[base]
    random = Random(f"{seed} {base} {bars} {history_bars}")  # noqa: S311  the seed is the market
    begins = MONDAY - bars // 2 * step
    frames = TIMEFRAMES[TIMEFRAMES.index(base) :]
    tapes = {(name, frame): _Tape(name, frame, begins) for name in INSTRUMENTS for frame in frames}
    for place, name in enumerate(INSTRUMENTS):
        path = _path(random, 30_000.0 / 10**place, bars + 1)
        for frame in frames:
            tapes[name, frame].fill(random, path, step, history_bars)
    events: list[Message] = [_status(begins)]
    events += [tape.told(begins, history_bars) for tape in tapes.values() if tape.instrument == INSTRUMENTS[0]]
    for number in range(1, bars + 1):
        end_ts = begins + number * step
        listed = INSTRUMENTS if number > bars // 3 else INSTRUMENTS[:1]
        known = [tape for tape in tapes.values() if tape.instrument in listed]
        events += _step(random, known, end_ts)
        if number == bars // 3:
            events += [tape.told(end_ts, history_bars) for tape in tapes.values() if tape.instrument != INSTRUMENTS[0]]
        if number % max(2, bars // 4) == 0:
            events += [tape.told(end_ts, _AGAIN) for tape in known]
            events += _context(random, known, end_ts)
    return events


class _Tape:
    """All bars of one instrument and timeframe, past and to come."""

    def __init__(self, instrument: str, frame: Timeframe, begins: int):
        self.instrument = instrument
        self.frame = frame
        self._step = STEP[frame]
        self._begins = bar_open(begins, frame)
        self._bars: list[Bar] = []
        self._by_close: dict[int, Bar] = {}

    def fill(self, random: Random, path: list[float], step: int, history_bars: int) -> None:
        """History walks to where `path` begins; the bars after it follow `path`, one point each `step`, and go on beyond its end."""
        before = _path(random, path[0], history_bars + 1)[::-1]
        opens = self._begins - history_bars * self._step
        for number, (first, last) in enumerate(pairwise(before)):
            self._add(random, opens + number * self._step, [first, last])
        length = self._step // step
        lead = (MONDAY - (len(path) - 1) // 2 * step - self._begins) // step
        points = [path[0]] * lead + path
        full = (len(points) - 1) // length
        for number in range(full):
            self._add(random, self._begins + number * self._step, points[number * length : (number + 1) * length + 1])
        rest = points[full * length :]
        for number in range(full, full + _AHEAD + 1):
            rest += _path(random, rest[-1], 9)[1:]
            self._add(random, self._begins + number * self._step, rest)
            rest = rest[-1:]

    def _add(self, random: Random, opens: int, points: list[float]) -> None:
        wick = 1.0 + abs(random.gauss(0.0, _STEP_SD / 2))
        bar = Bar(
            instrument=self.instrument,
            venue="binance",
            timeframe=self.frame,
            ts_open=opens,
            ts_close=opens + self._step,
            open=points[0],
            high=max(points) * wick,
            low=min(points) / wick,
            close=points[-1],
            volume=random.uniform(1.0, 100.0),
        )
        self._bars.append(bar)
        self._by_close[bar.ts_close] = bar

    def closed(self, ts: int) -> Bar | None:
        """The bar that closes at `ts`."""
        return self._by_close.get(ts)

    def opened(self, ts: int) -> Bar | None:
        """The bar that is open at `ts`, as it will have been."""
        return self._by_close.get(bar_open(ts, self.frame) + self._step)

    def told(self, now: int, count: int) -> FeedHistory:
        """The last `count` bars and, too early, those that follow."""
        known = sum(bar.ts_close <= now for bar in self._bars)
        ahead = 1 if count > _AGAIN else _AHEAD
        return FeedHistory(
            ts_init=now + SECOND,
            producer="feed",
            instrument=self.instrument,
            timeframe=self.frame,
            bars=tuple(self._bars[max(0, known - count) : known + ahead]),
        )


def _step(random: Random, tapes: list[_Tape], end_ts: int) -> list[Message]:
    """The batch of an instant, with a bar that is not over now and then, and the marks after it."""
    found = [bar for tape in reversed(tapes) if (bar := tape.closed(end_ts))]
    early = [
        bar
        for tape in tapes
        if STEP[tape.frame] > STEP[tapes[0].frame]
        and (random.random() < 0.04 or end_ts == MONDAY)
        and (bar := tape.opened(end_ts))
    ]
    told = end_ts + 200 * MILLISECOND
    marks = tuple(_mark(bar, told) for bar in found if bar.timeframe == tapes[0].frame)
    return [
        FeedBars(ts_init=told, producer="feed", end_ts=end_ts, bars=tuple(found + early)),
        FeedMarks(ts_init=told + SECOND // 4, producer="feed", venue="binance", as_of=told, marks=marks),
    ]


def _path(random: Random, start: float, count: int) -> list[float]:
    """Prices that wander, now this way and now that, and never far enough to overflow."""
    found, drift = [start], 0.0
    while len(found) < count:
        if len(found) % 17 == 1:
            drift = random.choice((-1.0, 0.0, 1.0)) * _STEP_SD
        pull = -0.02 * (found[-1] / start - 1.0)
        found.append(found[-1] * (1.0 + drift + pull + max(-0.05, min(0.05, random.gauss(0.0, _STEP_SD)))))
    return found


def _mark(bar: Bar, ts: int) -> Mark:
    px = bar.close
    return Mark(
        instrument=bar.instrument,
        bid_px=px * 0.9999,
        ask_px=px * 1.0001,
        last_px=px,
        protective_px=px,
        trust="TRUSTED",
        ts=ts,
    )


def _status(begins: int) -> FeedStatus:
    specs = tuple(
        InstrumentSpec(
            instrument=name,
            base=name.partition("-")[0],
            quote="USDT",
            px_tick=Decimal("0.01"),
            qty_step=Decimal("0.0001"),
            qty_min=Decimal("0.0001"),
            notional_min=Decimal(5),
            taker_fee=Decimal("0.001"),
            maker_fee=Decimal("0.001"),
        )
        for name in INSTRUMENTS
    )
    return FeedStatus(
        ts_init=begins, producer="feed", venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=specs
    )


def _context(random: Random, tapes: list[_Tape], end_ts: int) -> list[Message]:
    """What the macro and the levels agent might say at this instant."""
    bars = [bar for tape in tapes if tape.frame == tapes[0].frame and (bar := tape.closed(end_ts))]
    regimes = tuple(
        Regime(
            instrument=bar.instrument,
            state=random.choice(("BULL", "BEAR", "NEUTRAL", "UNKNOWN")),
            provisional=False,
            weeks=60,
            since_ts=end_ts - 2 * WEEK,
            evidence={"votes": float(random.randint(-3, 3))},
        )
        for bar in bars
    )
    maps = tuple(_map(bar) for bar in bars)
    told = {"ts_init": end_ts + 2 * SECOND, "end_ts": end_ts}
    return [
        MacroRegimes(producer="agent.macro", agent_id="macro", regimes=regimes, **told),
        LevelsMapped(producer="agent.levels", agent_id="levels", maps=maps, **told),
    ]


def _map(bar: Bar) -> LevelMap:
    zone = PriceZone(
        lo=bar.low * 0.98,
        hi=bar.low * 0.985,
        mid=bar.low * 0.9825,
        role="SUPPORT",
        touches=3,
        score=2.5,
        first_ts=bar.ts_open - WEEK,
        last_ts=bar.ts_open,
        confirmed_ts=bar.ts_close,
    )
    above = msgspec.structs.replace(
        zone, lo=bar.high * 1.015, hi=bar.high * 1.02, mid=bar.high * 1.0175, role="RESISTANCE"
    )
    return LevelMap(
        instrument=bar.instrument,
        timeframe=bar.timeframe,
        ready=True,
        close_px=bar.close,
        atr=bar.high - bar.low,
        zones=(zone, above),
        poc=bar.close,
        val=bar.low,
        vah=bar.high,
        hvn=(bar.close,),
        lvn=(bar.low * 0.99,),
    )
