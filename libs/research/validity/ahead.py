"""Whether a candidate looks ahead on a given history, and how much history it needs before its opinions are what they would have been.

Both are asked before anybody counts what it earned: a rule that knows the next bar has a Sharpe ratio of nine, and of that number nobody who has seen
it gets rid again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from libs.common.messages import Message, Signal
from libs.research.validity.telling import Candidate, Market, careless, honest, signals_of
from libs.runtime.lookahead import Leak, foresight, look_ahead

EVENTS_MAX = 3_000
"""So many events are held against their prefixes; over the whole history every row is compared, in two lives."""
CUTS_DENSE = 48
CUTS_SPREAD = 48
LENGTHS_FROM = 50
PLACES = 6
INSTANTS = 12
STEPS_MAX = 400_000
SAME = 1e-6
"""Numbers that differ by less than this share of themselves are the same: indicators forget their start and never quite."""

Beside = Callable[[], Sequence[Any]]
"""Makes fresh machines whose words the candidate may hear."""


def nobody() -> Sequence[Any]:
    """Nobody is heard but the feed."""
    return ()


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared: all `rows` of the history, and `cuts` of it with fresh machines; `opinions` that were ready in them."""

    rows: int
    cuts: int
    opinions: int
    leak: Leak | None


class Length(msgspec.Struct, frozen=True):
    """With so many bars of history: opinions that were ready, of those how many took another stance, and the farthest number."""

    bars: int
    ready: int
    compared: int
    otherwise: int
    farthest: float


class StartUp(msgspec.Struct, frozen=True):
    """`agrees_from`: from how many bars on every stance is that of the longest history and no opinion is missing; 0: from none tried."""

    lengths: tuple[Length, ...]
    agrees_from: int


def looked_ahead(candidate: Candidate, market: Market, beside: Beside = nobody) -> Ahead:
    """Hold the candidate against another future at every row, and against prefixes, densely where it begins to be ready and spread elsewhere."""
    told = list(careless(market, candidate.hears, beside()))
    whole = foresight(candidate.make, told)
    if whole.leak is not None:
        return Ahead(rows=len(told), cuts=0, opinions=whole.opinions, leak=whole.leak)
    first = _first_ready(candidate, told)
    begins = max(0, first - EVENTS_MAX // 2) if first + CUTS_DENSE > EVENTS_MAX else 0
    part = told[begins : begins + EVENTS_MAX]
    cuts = _cuts(first - begins, len(part))
    report = look_ahead(candidate.make, part, cuts)
    return Ahead(rows=len(told), cuts=len(cuts), opinions=whole.opinions, leak=report.leak)


def start_up(candidate: Candidate, market: Market, beside: Beside = nobody) -> StartUp:
    """The opinions at some instants after histories of several lengths, against those after all of it."""
    total = len(market.instants)
    lengths, bars = [], LENGTHS_FROM
    while bars + INSTANTS < total * 3 // 4 and bars * PLACES * 2 <= STEPS_MAX:
        lengths.append(bars)
        bars *= 2
    if not lengths:
        return StartUp((), 0)
    longest = lengths[-1]
    ends = sorted(
        {longest + INSTANTS + (total - longest - INSTANTS) * place // PLACES for place in range(1, PLACES + 1)}
    )
    truth = _opinions(candidate, market, beside, set(ends))
    found = []
    for length in lengths:
        rows = [
            _compared(truth[end], _tail(candidate, market.until(end).last(length + INSTANTS), beside)) for end in ends
        ]
        sums = [sum(column) for column in list(zip(*rows, strict=True))[:3]]
        found.append(Length(length, *sums, max(row[3] for row in rows)))
    agrees = 0
    for each in reversed(found):
        if each.otherwise or each.ready < each.compared or not each.compared:
            break
        agrees = each.bars
    return StartUp(tuple(found), agrees)


def _first_ready(candidate: Candidate, events: list[Message]) -> int:
    said = signals_of(candidate, events)
    return next((place for place, _, told in said if any(signal.ready for signal in told.signals)), 0)


def _cuts(first: int, count: int) -> list[int]:
    dense = range(first, min(count, first + CUTS_DENSE))
    spread = range(0, count, max(1, count // CUTS_SPREAD))
    return sorted({*dense, *spread})


Opinions = dict[tuple[int, str, str], Signal]


def _opinions(candidate: Candidate, market: Market, beside: Beside, ends: set[int]) -> dict[int, Opinions]:
    """What is said at the last `INSTANTS` instants before each of the places `ends`, in one life."""
    wanted: dict[int, int] = {}
    for end in ends:
        for place in range(end - INSTANTS, end):
            wanted[market.instants[place].closes] = end
    found: dict[int, Opinions] = {end: {} for end in ends}
    for signal, at in _said(candidate, market, beside):
        if at in wanted:
            found[wanted[at]][at, signal.instrument, signal.timeframe] = signal
    return found


def _tail(candidate: Candidate, market: Market, beside: Beside) -> Opinions:
    begins = market.instants[-INSTANTS].closes
    said = _said(candidate, market, beside)
    return {(at, signal.instrument, signal.timeframe): signal for signal, at in said if at >= begins}


def _said(candidate: Candidate, market: Market, beside: Beside) -> Iterator[tuple[Signal, int]]:
    for _, _, told in signals_of(candidate, honest(market, candidate.hears, beside())):
        for signal in told.signals:
            yield signal, told.end_ts


def _compared(truth: Opinions, found: Opinions) -> tuple[int, int, int, float]:
    """Of the opinions that are ready with all of history: how many are ready here, how many there are, how many say otherwise, and by
    what share of itself a number is off at most."""
    ready = compared = otherwise = 0
    farthest = 0.0
    for key, right in truth.items():
        if not right.ready:
            continue
        compared += 1
        said = found.get(key)
        if said is None or not said.ready:
            continue
        ready += 1
        otherwise += said.stance != right.stance
        farthest = max([farthest, *(_off(said.evidence.get(name), number) for name, number in right.evidence.items())])
    return ready, compared, otherwise, farthest


def _off(said: float | None, right: float) -> float:
    if said is None or not (math.isfinite(said) and math.isfinite(right)):
        return 0.0
    off = abs(said - right) / max(abs(right), 1e-12)
    return off if off > SAME else 0.0
