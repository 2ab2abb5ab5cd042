"""Whether live trading has become another thing than its baseline: sequential two-sample tests that may be looked at for ever. Pure.

**What is compared.** The newest `WINDOW` live samples of a metric (libs/trading/baseline.py) with the baseline's `count` samples, of which only the
quantiles are known. Both are samples: a baseline of 30 round trips says little about a hit rate, and the tests know that.

* slippage, stop_slippage, latency, return, by two tests of which the smaller p counts twice:
    - the rank-sum test (Mann and Whitney 1947). Of each live value its standing u in [0, 1] among the baseline's is read from the quantiles; if nothing
      has changed the mean of m standings is 1/2, with variance (n + m + 1) / (12 n m), n the baseline's count, and is normal from some ten values on:
      p = 1 - Phi((mean - 1/2) / sd), with the sign in which the metric is worse. The mean standing is the chance that a live value is worse than one of the baseline.
    - exceedances (Gumbel and von Schelling 1950): how many of the m live values are in the baseline's worst tenth, beyond its r-th value. At least e of them are
      as probable as that the first r + m - e of all n + m values in order hold at most m - e live ones: hypergeometric, exact. It hears what the
      ranks do not: most as before, and some very bad.
  Nothing is assumed of the distributions' shape, and one absurd value is one value.
* hit_rate: Fisher's exact test (1922): given all wins of both, those of the live round trips are hypergeometric; p is the chance of so few.

Good and bad ones come in runs, and ten orders of one bad hour are not ten witnesses. So both counts, and with them the hits, are divided by the baseline's `clumping`
before any test, and rounded to the side of silence.

**What repeated looking costs.** A test at 5 % after every trade cries wolf sooner or later, surely. Here a metric is looked at once every
`LOOK_EVERY` samples, with `ALPHA_LOOK`: in 1,000 samples there are 25 looks, and by Bonferroni's inequality, which holds however the overlapping windows depend
on each other,

    P(a metric that has not changed is called worse within 1,000 samples) <= 25 * 0.002 = ALPHA_PER_THOUSAND = 5 %

So the rate is an upper bound per metric, and for all five together it is at most their sum. `python -m benchmarks.drift` measures it, and how soon a
real drift is found. Where samples hang together for longer than `clumping` can see, the bound is not kept: the benchmark shows by how much.

**Two-sided only for information.** Only WORSE is an alarm; BETTER is told, at the same level. A metric has an episode: it leaves WORSE when p is above
`RESOLVED_P` again, that is 25 times what it took to get there, so nothing flaps at the edge. A metric whose baseline has fewer than `BASELINE_MIN` samples
is not watched (UNWATCHED).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from statistics import NormalDist, fmean, median
from typing import Literal

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import Baseline, Message, Metric, MetricBaseline
from libs.trading.baseline import METRICS, SHARES, Measuring, begun, samples_of, standing
from libs.trading.positions import Position

BASELINE_MIN = 30
LOOK_EVERY = 40
ALPHA_LOOK = 0.002
ALPHA_PER_THOUSAND = ALPHA_LOOK * 1_000 / LOOK_EVERY
RESOLVED_P = 0.05
TAIL = 0.9
"""Beyond this share of the baseline begins its worst part."""
WINDOW: Mapping[Metric, int] = {"slippage": 200, "stop_slippage": 200, "latency": 200, "return": 200, "hit_rate": 400}
"""So many newest samples are compared. A win or a loss says the least, so of those there are the most."""
HIGH_IS_WORSE: Mapping[Metric, bool] = {
    "slippage": True,
    "stop_slippage": True,
    "latency": True,
    "return": False,
    "hit_rate": False,
}
COUNT_MAX = 100_000
_NORMAL = NormalDist()

State = Literal["WAITING", "SAME", "WORSE", "BETTER", "UNWATCHED"]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a metric. `worse` is the chance that a live value is worse than one of the baseline; `p_worse` and `p_better` are the tests'.

    `live` and `base` are medians in the metric's unit, for `hit_rate` the rates. `bad` of the live values are in the baseline's worst tenth.
    """

    live_count: int
    live: float
    base_count: int
    base: float
    worse: float
    bad: int
    p_worse: float
    p_better: float


class Watched(msgspec.Struct):
    """One metric: what it is held against, how many live samples there were, the newest of them, and what the last look has shown."""

    baseline: MetricBaseline
    seen: int = 0
    window: list[float] = []
    state: State = "WAITING"
    last: Compared | None = None


class Change(msgspec.Struct, frozen=True):
    """A metric has another state than before its last look."""

    metric: Metric
    was: State
    state: State
    seen: Compared


class Watch(msgspec.Struct):
    """Everything the watch remembers: which baseline (its digest, `source`, since when, ns), the metrics, and what is under way."""

    digest: str
    source: str
    since: int
    metrics: dict[str, Watched]
    measuring: Measuring


def digest_of(baseline: Baseline) -> str:
    """What tells this baseline from every other."""
    return derive_id("baseline", msgspec.json.encode(baseline).decode())


def watching(baseline: Baseline, *, now: int, positions: Mapping[str, Position], steps: Mapping[str, Decimal]) -> Watch:
    """A watch that begins now, in a book with these positions (`baseline.begun`)."""
    metrics = {
        each.metric: Watched(each, state="WAITING" if each.count >= BASELINE_MIN else "UNWATCHED")
        for each in baseline.metrics
    }
    return Watch(digest_of(baseline), baseline.source, now, metrics, begun(positions, steps))


def flaw_of(baseline: Baseline) -> str:
    """Why this cannot be a baseline, in words; empty if it can."""
    names = [each.metric for each in baseline.metrics]
    if len(set(names)) != len(names):
        return "a metric is named twice"
    for each in baseline.metrics:
        if not 0 < each.count <= COUNT_MAX:
            return f"{each.metric} has {each.count} samples: 1 to {COUNT_MAX} can be compared with"
        if not 1 <= each.clumping <= each.count:
            return f"{each.metric}: {each.clumping} samples cannot say as much as one"
        if each.metric == "hit_rate" and not 0 <= each.mean <= 1:
            return f"a hit rate is a share, not {each.mean}"
        if each.metric != "hit_rate" and not _is_grid(each.quantiles):
            return f"{each.metric} needs {len(SHARES)} quantiles, each at least the one before it"
    return ""


def hear(watch: Watch, message: Message) -> list[Change]:
    """Learn an event of the log; the metrics that have another state after it."""
    return [
        change
        for sample in samples_of(watch.measuring, message)
        if (watched := watch.metrics.get(sample.metric)) is not None
        if (change := add(watched, sample.value)) is not None
    ]


def add(watched: Watched, value: float) -> Change | None:
    """One more live sample; what a look that was due has changed."""
    if watched.state == "UNWATCHED":
        return None
    metric = watched.baseline.metric
    watched.seen += 1
    watched.window.append(value)
    if len(watched.window) > WINDOW[metric]:
        del watched.window[0]
    if watched.seen % LOOK_EVERY:
        return None
    was, found = watched.state, compared(watched.baseline, watched.window)
    watched.last, watched.state = found, _state(was, found)
    is_news = watched.state != was and (was, watched.state) != ("WAITING", "SAME")
    return Change(metric, was, watched.state, found) if is_news else None


def compared(baseline: MetricBaseline, live: Sequence[float]) -> Compared:
    """These live samples (at least one) against the baseline."""
    if baseline.metric == "hit_rate":
        return _rates(baseline, live)
    count, m = _independent(baseline, live)
    sign = 1 if HIGH_IS_WORSE[baseline.metric] else -1
    grid = sorted(sign * each for each in baseline.quantiles)
    worse = fmean(standing(grid, sign * each) for each in live)
    z = (worse - 0.5) / math.sqrt((count + m + 1) / (12 * count * m))
    edge = grid[SHARES.index(TAIL)]
    bad = sum(sign * each > edge for each in live)
    rank = (
        math.floor(TAIL * (count - 1)) + 1
    )  # the edge lies between this value of the baseline and the next: the test errs to the safe side
    few = bad * m // len(live)
    p_tail = few_of(m - few, rank + m - few, m, m + count)
    return Compared(
        live_count=len(live),
        live=median(live),
        base_count=baseline.count,
        base=baseline.quantiles[len(baseline.quantiles) // 2],
        worse=worse,
        bad=bad,
        p_worse=min(1.0, 2 * min(_NORMAL.cdf(-z), p_tail)),
        p_better=_NORMAL.cdf(z),
    )


def few_of(hits: int, count: int, all_hits: int, all_count: int) -> float:
    """The chance that `count` drawn from `all_count`, of which `all_hits` are hits, hold at most `hits` (hypergeometric; exact)."""
    misses = all_count - all_hits
    least = max(0, count - misses)
    ways, term = 0, math.comb(all_hits, least) * math.comb(misses, count - least)
    for each in range(least, hits + 1):
        ways += term
        term = term * (all_hits - each) * (count - each) // ((each + 1) * (misses - count + each + 1))
    return ways / math.comb(all_count, count)


def _rates(baseline: MetricBaseline, live: Sequence[float]) -> Compared:
    count, m = _independent(baseline, live)
    hits = round(math.fsum(live))
    rate, base = hits / len(live), baseline.mean
    base_hits = round(base * count)
    most, least = -(-hits * m // len(live)), hits * m // len(live)
    return Compared(
        live_count=len(live),
        live=rate,
        base_count=baseline.count,
        base=base,
        worse=0.5 + (base - rate) / 2,
        bad=0,
        p_worse=few_of(most, m, most + base_hits, m + count),
        p_better=few_of(m - least, m, m - least + count - base_hits, m + count),
    )


def _independent(baseline: MetricBaseline, live: Sequence[float]) -> tuple[int, int]:
    """How many independent samples the baseline's and these are worth."""
    return max(1, int(baseline.count / baseline.clumping)), max(1, int(len(live) / baseline.clumping))


def _state(was: State, found: Compared) -> State:
    if found.p_worse <= ALPHA_LOOK:
        return "WORSE"
    if found.p_better <= ALPHA_LOOK:
        return "BETTER"
    if (was == "WORSE" and found.p_worse <= RESOLVED_P) or (was == "BETTER" and found.p_better <= RESOLVED_P):
        return was
    return "SAME"


def _is_grid(quantiles: Sequence[float]) -> bool:
    rising = all(one <= other for one, other in pairwise(quantiles))
    return len(quantiles) == len(SHARES) and rising and all(map(math.isfinite, quantiles))


# --- in words -----------------------------------------------------------------------------------------------------------

_NAMES: Mapping[Metric, tuple[str, str, int]] = {
    "slippage": ("slippage of entries and exits", "bp", 1),
    "stop_slippage": ("slippage of stops", "bp", 1),
    "latency": ("latency from approval to the venue's word", "ms", 0),
    "return": ("return of a round trip", "bp", 1),
    "hit_rate": ("hit rate", "%", 1),
}


def figures_in_words(metric: Metric, found: Compared) -> str:
    """Live against baseline, with the counts both rest on."""
    _, unit, digits = _NAMES[metric]
    what, scale = ("", 100) if metric == "hit_rate" else ("median ", 1)
    text = (
        f"{what}{found.live * scale:.{digits}f} {unit} in the last {found.live_count}, "
        f"{found.base * scale:.{digits}f} {unit} in the baseline's {found.base_count}"
    )
    if metric != "hit_rate":
        text += f"; a live one is worse than one of the baseline {found.worse:.0%} of the time, {found.bad} are in its worst tenth"
    return text


def change_in_words(change: Change) -> str:
    """What has changed, live against baseline."""
    name, figures = _NAMES[change.metric][0], figures_in_words(change.metric, change.seen)
    match change.state:
        case "WORSE":
            chance = f"of unchanged ones one look in {_one_in(change.seen.p_worse)} is as bad"
            return f"{name} is worse than the baseline: {figures} ({chance})"
        case "BETTER":
            return f"{name} is better than the baseline: {figures}"
    return f"{name} is no longer {change.was.lower()} than the baseline: {figures}"


def lines(watch: Watch | None) -> list[str]:
    """How the watch stands, one metric a line."""
    if watch is None:
        return ["no baseline is declared"]
    return [f"held against {watch.source}"] + [
        f"{_NAMES[metric][0]}: {_standing_in_words(metric, watch.metrics[metric])}"
        for metric in METRICS
        if metric in watch.metrics
    ]


def _standing_in_words(metric: Metric, watched: Watched) -> str:
    if watched.state == "UNWATCHED":
        return f"not watched, its baseline has {watched.baseline.count} samples and {BASELINE_MIN} are needed"
    if watched.last is None:
        return f"waiting, {watched.seen} of {LOOK_EVERY} samples"
    return f"{watched.state}, {figures_in_words(metric, watched.last)}; {watched.seen} samples since it was declared"


def _one_in(p: float) -> str:
    return f"{min(1 / p, 1e9):,.0f}" if p > 1e-9 else "more than a billion"
