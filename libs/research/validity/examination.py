"""One candidate asked everything that its votes can answer, in the order in which the answers matter.

Look-ahead comes first. If there is any, the examination ends: what follows is not computed, so nobody can read it. The full backtests, the counter
of trials and the files are the caller's; what they add is put on by `msgspec.structs.replace`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from libs.common.timeframe import DAY, HOUR, STEP
from libs.research.validity.ahead import Beside, looked_ahead, nobody, start_up
from libs.research.validity.chance import RUNS, random_entries, shuffled, turned
from libs.research.validity.folds import cross_validated
from libs.research.validity.noise import on_noise, planted_edge
from libs.research.validity.telling import Candidate, Market
from libs.research.validity.verdict import Costed, Luck, Validation
from libs.research.validity.votes import Board, Costs, Series, Worth, board_of, votes_of
from libs.trading.bootstrap import Interval, bootstrapped
from libs.trading.performance import YEAR, deflated, deviation, min_track_record, moments, psr, sharpe
from libs.trading.track_record import OBSERVATIONS_MIN, SHARPE_TARGET, Trials

DAILY_DAYS_MIN = 30
COST_TIMES = (0, 1, 2, 3)
NOISE_BARS_MAX = 5_000
UNKNOWN = Interval(math.nan, math.nan, math.nan)

Progress = Callable[[str], None]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How it is examined: what trading costs, the cash, how many noise markets and shuffles, and the seed of all chance."""

    costs: Costs
    cash: float
    runs: int = 20
    shuffles: int = RUNS
    noise_bars: int = NOISE_BARS_MAX
    seed: int = 1


class Examination(msgspec.Struct, frozen=True):
    """The validation so far, and what later parts need: the votes, and each setting's daily returns after costs."""

    found: Validation
    series: tuple[Series, ...] = ()
    returns: dict[str, list[float]] = {}


def examined(
    candidates: Sequence[Candidate],
    market: Market,
    terms: Terms,
    *,
    beside: Beside = nobody,
    progress: Progress = lambda what: None,
) -> Examination:
    """Ask the first of `candidates` everything, and the others (the same agent, set otherwise) for their returns."""
    candidate = candidates[0]
    found = Validation(
        name=candidate.name, code_digest=candidate.code_digest, settings_digest=candidate.settings_digest
    )
    progress("does it look ahead?")
    for each in candidates:
        ahead = looked_ahead(each, market, beside)
        if ahead.leak is not None:
            flaw = f"it looks ahead ({each.label}): {ahead.leak}"
            return Examination(msgspec.structs.replace(found, ahead=ahead, flaw=flaw, is_leak=True))
        if each is candidate:
            found = msgspec.structs.replace(found, ahead=ahead)
    series = votes_of(candidate, market, beside)
    try:
        board = board_of(series, _valued_each(series))
    except ValueError as error:
        flaw = (
            f"{error} on this history of {len(market.instants):,} {market.base} instants: nothing has been shown."
            " Are these the bars it decides on, and are they enough?"
        )
        return Examination(msgspec.structs.replace(found, flaw=flaw), series)
    progress("how much history does it need?")
    found = msgspec.structs.replace(found, start_up=start_up(candidate, market, beside))
    progress("what are its votes worth?")
    found = msgspec.structs.replace(found, votes=costed(board, terms), turned=turned(board))
    progress("is it better than chance?")
    nulls = (shuffled(board, terms.shuffles, terms.seed), random_entries(board, terms.shuffles, terms.seed))
    returns = {candidate.label: daily(series, terms)}
    for each in candidates[1:]:
        progress(f"and set otherwise: {each.label}")
        returns[each.label] = daily(votes_of(each, market, beside), terms)
    found = msgspec.structs.replace(
        found,
        nulls=nulls,
        folds=cross_validated(aligned(returns), _holding_days(board)),
        settings_tried=tuple(returns),
    )
    progress("what does it do on noise?")
    return Examination(_with_noise(found, candidate, terms, series, market, beside), series, returns)


def without_history(
    candidate: Candidate, base: str, terms: Terms, beside: Beside = nobody, progress: Progress = lambda what: None
) -> Validation:
    """What can be said of a candidate where no history is given: nothing about what it earns."""
    progress("what does it do on noise?")
    found = Validation(
        name=candidate.name, code_digest=candidate.code_digest, settings_digest=candidate.settings_digest
    )
    noise = on_noise(
        candidate,
        base=base,
        bars=terms.noise_bars,
        runs=terms.runs,
        seed=terms.seed,
        costs=terms.costs,
        cash=terms.cash,
        beside=beside,
    )
    return msgspec.structs.replace(found, noise=noise, planted=planted_edge(terms.seed))


def costed(board: Board, terms: Terms) -> tuple[Costed, ...]:
    """The votes under costs from none to three times as high, and a bar later."""
    found = []
    for times in COST_TIMES:
        worth = board.worth(costs=terms.costs.times(times), cash=terms.cash)
        found.append(_costed(f"costs x {times}", worth))
    found.append(_costed("one bar later", board.worth(costs=terms.costs, cash=terms.cash, delay=1)))
    return tuple(found)


def daily(series: Sequence[Series], terms: Terms) -> list[float]:
    """Daily returns after costs; none where nothing was ever ready."""
    try:
        return board_of(series).worth(costs=terms.costs, cash=terms.cash).returns
    except ValueError:
        return []


def aligned(returns: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """The days that all settings with returns have: settings that need longer to be ready begin later, and all end together."""
    known = {name: each for name, each in returns.items() if each}
    days = min((len(each) for each in known.values()), default=0)
    return {name: each[len(each) - days :] for name, each in known.items()}


def luck_of(of: str, returns: Sequence[float], trials: Trials, runs: int) -> Luck:
    """What luck explains of daily returns after so many trials."""
    is_known = len(returns) >= OBSERVATIONS_MIN and deviation(returns) > 0
    shape = moments(returns if is_known else ())
    return Luck(
        of=of,
        sharpe=bootstrapped(returns, sharpe) if is_known else UNKNOWN,
        days=len(returns),
        psr=psr(shape),
        deflated=deflated(shape, trials.count, trials.variance) if trials.variance >= 0 else math.nan,
        trials=trials,
        runs=runs,
        days_needed=min_track_record(shape),
        above_target=psr(shape, SHARPE_TARGET / math.sqrt(YEAR)),
    )


def _with_noise(
    found: Validation,
    candidate: Candidate,
    terms: Terms,
    series: Sequence[Series],
    market: Market,
    beside: Beside,
) -> Validation:
    first = series[0]
    moves = [after / before - 1.0 for before, after in zip(first.closes, first.closes[1:], strict=False)]
    needed = max(each.ready_from for each in series if each.ready_from < len(each.ends))
    noise = on_noise(
        candidate,
        base=market.base,
        bars=needed + min(len(market.instants), terms.noise_bars),
        runs=terms.runs,
        seed=terms.seed,
        costs=terms.costs,
        sd=deviation(moves) or None,
        cash=terms.cash,
        px=first.closes[0],
        volume=math.fsum(first.volumes) / len(first.volumes),
        instruments=[each.instrument for each in series],
        beside=beside,
        specs=market.specs,
    )
    return msgspec.structs.replace(found, noise=noise, planted=planted_edge(terms.seed))


def _costed(name: str, worth: Worth) -> Costed:
    return Costed(name=name, growth=worth.growth, trips=worth.trips, sharpe=worth.sharpe)


def _valued_each(series: Sequence[Series]) -> int:
    """Daily, as everything else is; of a history of a few days hourly, so that there is something to count."""
    ends = series[0].ends
    step = ends[1] - ends[0] if len(ends) > 1 else DAY
    return HOUR if ends[-1] - ends[0] < DAILY_DAYS_MIN * DAY and step <= STEP["1h"] else DAY


def _holding_days(board: Board) -> int:
    """The longest spell, in days."""
    longest = 0
    for series in board.series:
        for first, after in series.spells():
            longest = max(longest, series.ends[after - 1] - series.ends[first])
    return -(-longest // DAY)
