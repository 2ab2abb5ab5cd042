"""What came of a validation, part by part, and what may be claimed of it and what not.

A verdict never says that a strategy is good. It says what was seen, how much of that chance explains, and which sentences somebody may write under the
numbers. Where the candidate looks ahead, there is nothing else: no part behind `ahead` exists, so that no ratio of it can be shown.
"""

from __future__ import annotations

import math

import msgspec

from libs.research.validity.ahead import Ahead, StartUp
from libs.research.validity.chance import Null, Turned
from libs.research.validity.folds import CrossValidated
from libs.research.validity.noise import Noise, PlantedEdge
from libs.trading.bootstrap import Interval
from libs.trading.track_record import SHARPE_TARGET, Trials

CHANCE_MAX = 0.05
CONFIDENCE = 0.95


class Costed(msgspec.Struct, frozen=True, kw_only=True):
    """The same under other costs or later: growth over the whole history (1: nothing), round trips, Sharpe ratio a year."""

    name: str
    growth: float
    trips: int
    sharpe: float


class Luck(msgspec.Struct, frozen=True, kw_only=True):
    """A Sharpe ratio a year after costs with its interval, and what of it luck explains: the chances that the truth is above zero, above the
    best of so many trials without skill, and above `SHARPE_TARGET`; days until the first is 95 %, and how long the record is."""

    of: str
    sharpe: Interval
    days: int
    psr: float
    deflated: float
    trials: Trials
    runs: int
    days_needed: float
    above_target: float


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was asked about one candidate. `flaw`: why the rest does not exist ("": it does), `is_leak` whether that is look-ahead.

    `rehearsed` says what was tried on generated markets, `series` what history was given. Parts that are None were not asked; `pipeline` are
    full backtests, `votes` the votes by themselves.
    """

    name: str
    code_digest: str
    settings_digest: str
    series: tuple[str, ...] = ()
    rehearsed: str = ""
    flaw: str = ""
    is_leak: bool = False
    ahead: Ahead | None = None
    start_up: StartUp | None = None
    votes: tuple[Costed, ...] = ()
    pipeline: tuple[Costed, ...] = ()
    nulls: tuple[Null, ...] = ()
    turned: Turned | None = None
    folds: CrossValidated | None = None
    settings_tried: tuple[str, ...] = ()
    luck: tuple[Luck, ...] = ()
    noise: Noise | None = None
    planted: PlantedEdge | None = None

    @property
    def is_finding(self) -> bool:
        """Whether something is wrong with the candidate or with us; a strategy that merely earns nothing is not that."""
        return (
            bool(self.flaw)
            or bool(self.noise and not self.noise.is_honest)
            or bool(self.planted and not self.planted.is_found)
        )


class Claims(msgspec.Struct, frozen=True):
    """Sentences, with their numbers."""

    may: tuple[str, ...]
    may_not: tuple[str, ...]


def claims_of(found: Validation) -> Claims:
    """What may be claimed of a validation, and what not."""
    if found.flaw:
        what = "it looks ahead" if found.is_leak else "nothing has been shown"
        return Claims((), (f"anything about what it earns: {what}, so nothing was computed",))
    may, may_not = [], list[str]()
    for part in (_ahead, _costs, _chance, _folds, _luck, _noise):
        good, bad = part(found)
        may += good
        may_not += bad
    if found.noise is not None and not found.noise.is_honest:
        may.clear()  # whatever was computed was computed by something that knows the future
    if found.ahead is None:
        may_not.append("anything about what it earns: no history was given")
    if found.luck:
        days = max(each.days for each in found.luck)
        may_not.append(
            f"that the next year will look like this: {days} days of one market say what was, not what will be"
        )
    return Claims(tuple(may), tuple(may_not))


Said = tuple[list[str], list[str]]


def _ahead(found: Validation) -> Said:
    may, may_not = [], list[str]()
    if found.ahead is not None:
        may.append(
            f"that it does not look ahead on this history: {found.ahead.rows:,} events held against another future,"
            f" {found.ahead.cuts} prefixes against fresh machines"
        )
    elif found.rehearsed:
        may.append(f"that it does not look ahead on generated markets: {found.rehearsed}")
    if found.start_up is not None:
        longest = found.start_up.lengths[-1].bars if found.start_up.lengths else 0
        if found.start_up.agrees_from:
            may.append(
                f"that it says the same whenever it is started, from {found.start_up.agrees_from:,} bars of history on"
            )
        elif longest:
            may_not.append(
                f"that a restart changes nothing: with {longest:,} bars of history it still says something else"
            )
    return may, may_not


def _costs(found: Validation) -> Said:
    may, may_not = [], list[str]()
    rows = found.pipeline or found.votes
    asked = {
        "costs x 2": "that it survives costs twice as high",
        "costs x 3": "that it survives costs three times as high",
        "one bar later": "that it survives orders that arrive one bar later",
    }
    for row in rows:
        if row.name not in asked:
            continue
        number = f"growth {row.growth - 1:+.2%} over the history ({row.trips} round trips)"
        (may if row.growth > 1 else may_not).append(f"{asked[row.name]}: {number}")
    return may, may_not


def _chance(found: Validation) -> Said:
    may, may_not = [], list[str]()
    for null in found.nulls:
        if null.missing:
            may_not.append(f"that it beats {null.name}: {null.missing}")
            continue
        share = f"{null.p:.1%} of {null.runs} runs came out as good or better"
        (may if null.p <= CHANCE_MAX else may_not).append(f"that it beats {null.name}: {share}")
    turned = found.turned
    if turned is not None and not math.isnan(turned.votes):
        if not turned.votes > turned.flipped:
            may_not.append(
                f"that its direction is right: being out when it is in came to {turned.flipped:.2f}, its votes to {turned.votes:.2f}"
            )
        if not turned.votes > turned.holding:
            may_not.append(
                f"that it beats holding, even before costs: Sharpe ratio {turned.votes:.2f}, holding {turned.holding:.2f}"
            )
    return may, may_not


def _folds(found: Validation) -> Said:
    may, may_not = [], list[str]()
    if found.folds is None:
        return may, may_not
    forward = found.folds.forward
    if forward.missing:
        may_not.append(f"that it holds over time: {forward.missing}")
    else:
        low, high = forward.together.low, forward.together.high
        text = (
            f"that it holds over time: walk-forward Sharpe ratio {forward.together.value:.2f}"
            f" [{low:.2f}, {high:.2f}], above zero in {forward.positive} of {len(forward.stretches)} stretches"
        )
        (may if low > 0 else may_not).append(text)
    if found.folds.overfit >= 0.5:
        may_not.append(f"that the best settings are the best: probability of overfitting {found.folds.overfit:.0%}")
    return may, may_not


def _luck(found: Validation) -> Said:
    may, may_not = [], list[str]()
    for each in found.luck:
        if math.isnan(each.psr):
            may_not.append(f"a Sharpe ratio of {each.of}: not known yet after {each.days} days")
            continue
        seen = f"Sharpe ratio of {each.of} {each.sharpe.value:.2f} [{each.sharpe.low:.2f}, {each.sharpe.high:.2f}] in {each.days} days"
        needed = "never, at this ratio" if math.isinf(each.days_needed) else f"{math.ceil(each.days_needed):,} days"
        if each.psr >= CONFIDENCE and each.deflated >= CONFIDENCE:
            text = (
                f"that it earned more than luck explains: {seen}; chance that the truth is above zero {each.psr:.1%},"
                f" above the best of {each.trials.count} trials without skill {each.deflated:.1%}"
            )
            may.append(text)
        else:
            may_not.append(
                f"that it earns anything: {seen}; chance that the truth is above zero {each.psr:.1%}, above the best of"
                f" {each.trials.count} trials without skill {_share(each.deflated)}; needed: {needed}"
            )
        if not each.above_target >= CONFIDENCE:
            may_not.append(
                f"a Sharpe ratio above {SHARPE_TARGET} of {each.of}: the chance that the truth is above it is {each.above_target:.1%}"
            )
    return may, may_not


def _noise(found: Validation) -> Said:
    may, may_not = [], list[str]()
    noise, planted = found.noise, found.planted
    if noise is not None:
        if noise.silent == noise.runs:
            may_not.append("that it earns nothing on noise: it never traded there")
        elif noise.is_honest:
            may.append(
                f"that it earns nothing where there is nothing: mean Sharpe ratio {noise.mean.value:.2f}"
                f" [{noise.mean.low:.2f}, {noise.mean.high:.2f}] in {noise.runs - noise.silent} noise runs before costs"
            )
        else:
            may_not.append(
                f"anything: on pure noise its mean Sharpe ratio is {noise.mean.value:.2f}"
                f" [{noise.mean.low:.2f}, {noise.mean.high:.2f}] before costs; it, or we, know the future"
            )
    if planted is not None and not planted.is_found:
        may_not.append("that we would see an edge: the planted one was not found")
    return may, may_not


def _share(chance: float) -> str:
    return "not known" if math.isnan(chance) else f"{chance:.1%}"
