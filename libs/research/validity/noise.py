"""Markets without anything to find, and markets with something: what the candidate earns on the one, and whether we would see it on the other.

On noise the true Sharpe ratio before costs is zero, whatever is voted: the price at every close is the best guess of all later ones. So the mean over
many noise markets must be zero within its error; if it is not, the candidate or our own arithmetic knows the future, and nothing else we computed is
worth reading. That finding is made at `ALARM` confidence, so that honest code is accused once in a thousand times.

The other way round, a market whose returns carry a tenth of themselves on holds an edge for a rule that follows the last bar. If we did not find that
one, that we found none elsewhere would mean nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from random import Random
from statistics import NormalDist

import msgspec

from libs.common.messages import Bar, InstrumentSpec
from libs.common.timeframe import DAY, HOUR, STEP, bar_open
from libs.research.validity.ahead import Beside, nobody
from libs.research.validity.chance import Null, random_entries
from libs.research.validity.telling import Candidate, Market, market_of
from libs.research.validity.votes import Costs, Series, board_of, votes_of
from libs.trading.bootstrap import Interval

BEGIN = 1_735_516_800_000_000_000
"""2024-12-30 00:00 UTC, a Monday."""
SD_HOUR = 0.0075
"""The standard deviation of an hour's return where no data say it: 70 % a year."""
CARRIED = 0.08
OBSERVATION_BARS = 20
"""Noise is valued once in so many bars, if a day is too long for it."""
YEARS_PLANTED = 2
ALARM = 0.999
CLIPPED_AT = 6.0


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate on `runs` noise markets of `bars` bars: Sharpe ratios a year before costs (mean with its 95 % interval, spread, the spread
    that theory gives, share beyond 1.96 of those), and the mean after costs. `silent` runs had no trade; `is_honest` is False where the
    mean is not zero at `ALARM` confidence."""

    runs: int
    bars: int
    years: float
    mean: Interval
    sd: float
    sd_expected: float
    beyond: float
    mean_after_costs: float
    silent: int
    is_honest: bool


class PlantedEdge(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule that follows the last bar came to where returns carry on, before costs, and the chance test of it."""

    sharpe: float
    null: Null

    @property
    def is_found(self) -> bool:
        """Whether we would have seen it."""
        return self.null.p <= 0.05


def noise_market(
    seed: str,
    base: str,
    bars: int,
    *,
    sd: float,
    instruments: Sequence[str] = ("BTC-USDT",),
    px: float = 100.0,
    volume: float = 1_000.0,
    carried: float = 0.0,
    specs: tuple[InstrumentSpec, ...] = (),
) -> Market:
    """Prices that walk at random without drift, `sd` a bar; of each return the share `carried` goes on in the next one."""
    series = [
        _walk(Random(f"{seed} {name}"), name, base, bars, sd, px, volume, carried)  # noqa: S311  the seed is the market
        for name in instruments
    ]
    return market_of(series, specs=specs)


def on_noise(
    candidate: Candidate,
    *,
    base: str,
    bars: int,
    runs: int,
    seed: int,
    costs: Costs,
    sd: float | None = None,
    cash: float = 1.0,
    px: float = 100.0,
    volume: float = 1_000.0,
    instruments: Sequence[str] = ("BTC-USDT",),
    beside: Beside = nobody,
    specs: tuple[InstrumentSpec, ...] = (),
) -> Noise:
    """The candidate on so many noise markets."""
    step = STEP[base]
    sd = sd if sd is not None else sd_of(base)
    valued = DAY if bars * step >= 120 * DAY else max(step, step * OBSERVATION_BARS)
    before, after, years = [], [], 0.0
    for number in range(runs):
        market = noise_market(
            f"noise {seed} {number}",
            base,
            bars,
            sd=sd,
            instruments=instruments,
            px=px,
            volume=volume,
            specs=specs,
        )
        series = votes_of(candidate, market, beside)
        if all(each.ready_from >= len(each.ends) for each in series):
            continue
        board = board_of(series, valued)
        worth = board.worth()
        if not math.isnan(worth.sharpe):
            before.append(worth.sharpe)
            after.append(board.worth(costs=costs, cash=cash).sharpe)
            years = board.days / 365
    return noise_of(before, after, runs=runs, bars=bars, years=years)


def noise_of(before: Sequence[float], after: Sequence[float], *, runs: int, bars: int, years: float) -> Noise:
    """What Sharpe ratios of so many noise runs say."""
    count = len(before)
    mean = math.fsum(before) / count if count else math.nan
    sd = math.sqrt(math.fsum((each - mean) ** 2 for each in before) / (count - 1)) if count > 1 else math.nan
    error = sd / math.sqrt(count) if count > 1 else math.nan
    expected = 1.0 / math.sqrt(years) if years > 0 else math.nan
    width = student(0.975, count - 1) * error if count > 1 else math.nan
    known = [each for each in after if not math.isnan(each)]
    is_honest = count < 2 or abs(mean) <= student(0.5 + ALARM / 2, count - 1) * error + 1e-12
    return Noise(
        runs=runs,
        bars=bars,
        years=years,
        mean=Interval(mean, mean - width, mean + width),
        sd=sd,
        sd_expected=expected,
        beyond=sum(abs(each) > 1.96 * expected for each in before) / count if count else math.nan,
        mean_after_costs=math.fsum(known) / len(known) if known else math.nan,
        silent=runs - count,
        is_honest=is_honest,
    )


@cache
def planted_edge(seed: int, carried: float = CARRIED, runs: int = 40) -> PlantedEdge:
    """Whether a rule that is LONG after a rise is found where rises go on: two years of hours."""
    series = momentum(noise_market(f"planted {seed}", "1h", YEARS_PLANTED * 365 * 24, sd=SD_HOUR, carried=carried))
    board = board_of(series)
    return PlantedEdge(sharpe=board.worth().sharpe, null=random_entries(board, runs, seed))


def momentum(market: Market, ahead: int = 0) -> list[Series]:
    """The votes of a rule that is LONG after a bar that rose; with `ahead` bars of foresight, which is a leak and good for showing one."""
    found = []
    for name in sorted({bar.instrument for instant in market.instants for bar in instant.bars}):
        bars = [bar for instant in market.instants for bar in instant.bars if bar.instrument == name]
        rose = [1 if bar.close > bar.open else 0 for bar in bars]
        found.append(series_of(bars, [*rose[ahead:], *[0] * ahead]))
    return found


def series_of(bars: Sequence[Bar], stances: list[int], ready_from: int = 0) -> Series:
    """Bars with the stances of a rule that is no agent."""
    return Series(
        instrument=bars[0].instrument,
        opens=[bar.open for bar in bars],
        highs=[bar.high for bar in bars],
        lows=[bar.low for bar in bars],
        closes=[bar.close for bar in bars],
        volumes=[bar.volume for bar in bars],
        ends=[bar.ts_close for bar in bars],
        stances=stances,
        ready_from=ready_from,
    )


def sd_of(base: str) -> float:
    """How far a bar of this timeframe moves where no data say it."""
    return SD_HOUR * math.sqrt(STEP[base] / HOUR)


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t, by the series of Cornish and Fisher: within 1 % from five degrees of freedom on."""
    z = NormalDist().inv_cdf(share)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _walk(
    random: Random, name: str, base: str, bars: int, sd: float, px: float, volume: float, carried: float
) -> Iterator[Bar]:
    step, opens_at, before = STEP[base], bar_open(BEGIN, base), 0.0
    gauss, around = random.gauss, math.sqrt(1.0 - carried * carried)
    for _ in range(bars):
        shock = max(-CLIPPED_AT, min(CLIPPED_AT, gauss(0.0, 1.0)))
        before = carried * before + around * shock
        closes = px * max(0.05, 1.0 + sd * before)
        wick = 1.0 + 0.3 * sd * abs(shock)
        yield Bar(
            instrument=name,
            venue="binance",
            timeframe=base,  # type: ignore[arg-type]  one of STEP
            ts_open=opens_at,
            ts_close=opens_at + step,
            open=px,
            high=max(px, closes) * wick,
            low=min(px, closes) / wick,
            close=closes,
            volume=volume * random.uniform(0.5, 1.5),
        )
        px, opens_at = closes, opens_at + step
