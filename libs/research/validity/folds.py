"""Walk-forward and purged, embargoed cross-validation of several settings' daily returns, and how likely choosing the best of them overfits.

Of each split the settings with the best Sharpe ratio on the taught days are examined on the others (`libs/research/splits.py`). With one setting
nothing is chosen, and what remains is how even the result is over time. Observations are purged by the longest holding, because a position that is
open at the edge of a fold belongs to both sides.

The probability of backtest overfitting (Bailey, Borwein, Lopez de Prado and Zhu, 2015) asks of all ways to cut the days into two halves: how often is
the best of one half below the middle in the other? One half, if the choice is luck; zero, if it is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import msgspec

from libs.research.splits import Split, combinatorial_purged, paths, purged_k_fold, walk_forward
from libs.trading.bootstrap import Interval, bootstrapped
from libs.trading.performance import sharpe

DAYS_MIN = 60
FOLDS = 5
CPCV_FOLDS, CPCV_TESTS = 6, 2
WALKS = 6
EMBARGO_SHARE = 0.01
HALVES = 10
VARIANTS_MIN = 4


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of days (places from 0, the last one left out), which settings were chosen for it, and their Sharpe ratio a year there."""

    first: int
    after: int
    chosen: str
    sharpe: float


class Folds(msgspec.Struct, frozen=True, kw_only=True):
    """One way to split: each stretch that was examined, and all examined days together with an interval."""

    name: str
    stretches: tuple[Examined, ...] = ()
    together: Interval = Interval(math.nan, math.nan, math.nan)
    missing: str = ""

    @property
    def positive(self) -> int:
        """In how many stretches something was earned."""
        return sum(each.sharpe > 0 for each in self.stretches)


class CrossValidated(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `path_sharpes` are those of the whole paths that combinatorial splits can be put together to; `overfit` is the probability
    of backtest overfitting (NaN: see `overfit_missing`)."""

    forward: Folds
    purged: Folds
    combinatorial: Folds
    path_sharpes: tuple[float, ...]
    overfit: float
    overfit_missing: str
    purge: int
    embargo: int


def cross_validated(variants: Mapping[str, Sequence[float]], holding_days: int) -> CrossValidated:
    """`variants` are the daily returns of each setting over the same days; the longest holding in days is purged."""
    days = min((len(returns) for returns in variants.values()), default=0)
    embargo = max(1, round(days * EMBARGO_SHARE))
    purge = min(max(1, holding_days), max(1, days // CPCV_FOLDS - embargo - 2))
    names = ("walk-forward", f"purged {FOLDS}-fold", f"combinatorial purged {CPCV_FOLDS} over {CPCV_TESTS}")
    if days < DAYS_MIN:
        short = f"not known yet: {days} days, fewer than {DAYS_MIN}"
        none = [Folds(name=name, missing=short) for name in names]
        return CrossValidated(
            forward=none[0],
            purged=none[1],
            combinatorial=none[2],
            path_sharpes=(),
            overfit=math.nan,
            overfit_missing=short,
            purge=purge,
            embargo=embargo,
        )
    test = days // (WALKS + 3)
    forward = walk_forward(days, train=days - test * WALKS - purge, test=test, purge=purge, anchored=True, last=True)
    purged = purged_k_fold(days, folds=FOLDS, purge=purge, embargo=embargo)
    combined = list(combinatorial_purged(days, folds=CPCV_FOLDS, test_folds=CPCV_TESTS, purge=purge, embargo=embargo))
    overfit, missing = overfitting(variants)
    return CrossValidated(
        forward=_examined(names[0], forward, variants),
        purged=_examined(names[1], purged, variants),
        combinatorial=_examined(names[2], combined, variants, once=False),
        path_sharpes=_paths(combined, variants),
        overfit=overfit,
        overfit_missing=missing,
        purge=purge,
        embargo=embargo,
    )


def overfitting(variants: Mapping[str, Sequence[float]]) -> tuple[float, str]:
    """The probability of backtest overfitting over all ways to halve `HALVES` blocks of days, or why there is none."""
    if len(variants) < VARIANTS_MIN:
        return math.nan, f"it takes {VARIANTS_MIN} settings to choose from, there are {len(variants)}"
    days = min(len(returns) for returns in variants.values())
    length = days // HALVES
    blocks = [range(number * length, (number + 1) * length) for number in range(HALVES)]
    sums = [[_sums(returns, block) for block in blocks] for returns in variants.values()]
    below = count = 0.0
    for half in combinations(range(HALVES), HALVES // 2):
        other = [number for number in range(HALVES) if number not in half]
        taught = [_joined(rows, half) for rows in sums]
        examined = [_joined(rows, other) for rows in sums]
        best = max(range(len(sums)), key=taught.__getitem__)
        worse = sum(each < examined[best] for each in examined) + 0.5 * (
            sum(each == examined[best] for each in examined) - 1
        )
        rank = (worse + 1) / (len(sums) + 1)
        below += rank < 0.5 or 0.5 * (rank == 0.5)
        count += 1
    return below / count, ""


def _sums(returns: Sequence[float], block: range) -> tuple[float, float, int]:
    part = returns[block.start : block.stop]
    return math.fsum(part), math.fsum(each * each for each in part), len(part)


def _joined(rows: Sequence[tuple[float, float, int]], chosen: Sequence[int]) -> float:
    """The Sharpe ratio per day of the blocks that were chosen; 0 without any movement."""
    total = math.fsum(rows[each][0] for each in chosen)
    squares = math.fsum(rows[each][1] for each in chosen)
    count = sum(rows[each][2] for each in chosen)
    mean = total / count
    variance = squares / count - mean * mean
    return mean / math.sqrt(variance) if variance > 1e-18 else 0.0


def _examined(name: str, splits: Iterable[Split], variants: Mapping[str, Sequence[float]], once: bool = True) -> Folds:
    """Not `once`: days are examined several times, and an interval of them would be too narrow."""
    found, together = [], list[float]()
    for split in splits:
        chosen = _best(variants, split.train)
        for stretch in split.tests:
            returns = [variants[chosen][place] for place in stretch]
            together += returns
            found.append(Examined(first=stretch[0], after=stretch[-1] + 1, chosen=chosen, sharpe=sharpe(returns)))
    interval = bootstrapped(together, sharpe) if once else Interval(sharpe(together), math.nan, math.nan)
    return Folds(name=name, stretches=tuple(found), together=interval)


def _paths(splits: Sequence[Split], variants: Mapping[str, Sequence[float]]) -> tuple[float, ...]:
    chosen = [_best(variants, split.train) for split in splits]
    stretches = [
        dict(zip(folds, split.tests, strict=True))
        for folds, split in zip(combinations(range(CPCV_FOLDS), CPCV_TESTS), splits, strict=True)
    ]
    return tuple(
        sharpe([variants[chosen[part.split]][place] for part in path for place in stretches[part.split][part.fold]])
        for path in paths(CPCV_FOLDS, CPCV_TESTS)
    )


def _best(variants: Mapping[str, Sequence[float]], places: Sequence[int]) -> str:
    """The settings with the best ratio on these days; those without one (nothing moved) come last."""

    def ratio(name: str) -> float:
        found = sharpe([variants[name][place] for place in places])
        return -math.inf if math.isnan(found) else found

    return max(variants, key=ratio)
