"""A validation in plain sentences, in the order of the questions; no sentence says whether it is good enough, and none is without its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from libs.research.validity.chance import Null
from libs.research.validity.folds import Folds
from libs.research.validity.verdict import Costed, Luck, Validation, claims_of

SHOWN_MAX = 8


class Section(msgspec.Struct, frozen=True):
    """A question and its answers, a line each."""

    title: str
    lines: tuple[str, ...]


def sections_of(found: Validation) -> list[Section]:
    """The whole verdict. Of a candidate that looks ahead: only that."""
    sections = [Section("Does it look ahead?", tuple(_ahead(found)))]
    if not found.flaw:
        sections += [
            Section("Does it survive costs and delay?", tuple(_costs(found))),
            Section("Is it better than chance?", tuple(_chance(found))),
            Section("Does it hold over time?", tuple(_folds(found))),
            Section("How much of it is luck?", tuple(_luck(found))),
            Section("Is the measuring honest?", tuple(_noise(found))),
        ]
    claims = claims_of(found)
    sections.append(Section("What may be claimed", claims.may or ("nothing",)))
    sections.append(Section("What may not be claimed", claims.may_not))
    return [each for each in sections if each.lines]


def as_json(found: Validation) -> dict[str, Any]:
    """The same for scripts; what is not known is null."""
    claims = claims_of(found)
    built = _known(msgspec.to_builtins(found))
    return {**built, "ok": not found.is_finding, "may_claim": list(claims.may), "may_not_claim": list(claims.may_not)}


def _ahead(found: Validation) -> Iterable[str]:
    if found.is_leak:
        yield f"Yes: {found.flaw}"
        yield "Nothing else was computed: what a rule earns that knows the future says nothing, and is never forgotten."
        return
    if found.flaw:
        yield found.flaw
        return
    if found.rehearsed:
        yield f"On generated markets: {found.rehearsed}."
    if found.ahead is not None:
        yield (
            f"On this history: {found.ahead.rows:,} events, {found.ahead.opinions:,} ready opinions; every row is the same though bars that were"
            f" told too early said something else, and so it is after {found.ahead.cuts} cuts with fresh machines."
        )
    start = found.start_up
    if start is None:
        return
    if not start.lengths:
        yield "How much history it needs: not known, the history is too short to try."
    elif start.agrees_from:
        yield f"From {start.agrees_from:,} bars of history on it says what it says with {start.lengths[-1].bars:,}."
    else:
        last = start.lengths[-1]
        yield (
            f"Even with {last.bars:,} bars of history {last.otherwise} of {last.compared} opinions are otherwise and"
            f" {last.compared - last.ready} not ready: what it says depends on when it was started."
        )


def _costs(found: Validation) -> Iterable[str]:
    for title, rows in (("full backtest", found.pipeline), ("votes alone", found.votes)):
        for row in rows:
            yield f"{title}, {_costed(row)}"
    if found.votes and not found.pipeline:
        yield "The full backtest was not run: these are the votes alone, all in and all out."
    if not found.votes:
        yield "No history was given: not known."


def _costed(row: Costed) -> str:
    return f"{row.name}: growth {row.growth - 1:+.2%}, {row.trips} round trips, Sharpe ratio {_number(row.sharpe)}"


def _chance(found: Validation) -> Iterable[str]:
    for null in found.nulls:
        yield _null(null)
    if found.turned is not None:
        turned = found.turned
        yield (
            f"Sharpe ratios before costs: its votes {_number(turned.votes)}, in whenever they are out {_number(turned.flipped)},"
            f" in where they say SHORT {_number(turned.short)}, always in {_number(turned.holding)}."
        )
    if not found.nulls:
        yield "No history was given: not known."


def _null(null: Null) -> str:
    if null.missing:
        return f"{null.name}: {null.missing}."
    return (
        f"{null.name}: {null.observed:.2f} was seen, chance came to {null.mean:.2f} [{null.low:.2f}, {null.high:.2f}] in {null.runs} runs;"
        f" {null.p:.1%} were as good."
    )


def _folds(found: Validation) -> Iterable[str]:
    folds = found.folds
    if folds is None:
        return
    if len(found.settings_tried) > 1:
        yield f"{len(found.settings_tried)} settings: {', '.join(found.settings_tried[:SHOWN_MAX])}; of each split the best of the taught days is examined."
    else:
        yield "One setting: nothing is chosen, the folds say how even it is over time (--grid NAME=v1,v2 tries others)."
    for each in (folds.forward, folds.purged, folds.combinatorial):
        yield _fold(each)
    if folds.path_sharpes:
        low, high = min(folds.path_sharpes), max(folds.path_sharpes)
        yield f"{len(folds.path_sharpes)} whole paths of the combinatorial splits: Sharpe ratios from {low:.2f} to {high:.2f}."
    if folds.forward.stretches:
        yield f"Days purged on both sides of a fold (the longest holding): {folds.purge}; embargoed after it: {folds.embargo}."
    overfit = folds.overfit_missing or f"{folds.overfit:.0%}"
    yield f"Probability of backtest overfitting: {overfit}."


def _fold(folds: Folds) -> str:
    if folds.missing:
        return f"{folds.name}: {folds.missing}."
    shown = ", ".join(_number(each.sharpe) for each in folds.stretches[:SHOWN_MAX])
    more = ", ..." if len(folds.stretches) > SHOWN_MAX else ""
    low, high = folds.together.low, folds.together.high
    interval = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return (
        f"{folds.name}: Sharpe ratio {_number(folds.together.value)}{interval}, above zero in {folds.positive} of"
        f" {len(folds.stretches)} stretches ({shown}{more})."
    )


def _luck(found: Validation) -> Iterable[str]:
    for each in found.luck:
        yield from _lucky(each)
    if not found.luck:
        yield "No history was given: not known."


def _lucky(each: Luck) -> Iterable[str]:
    if math.isnan(each.psr):
        yield f"{each.of}: not known yet, {each.days} days."
        return
    never = math.isinf(each.days_needed)
    needed = "no number of days makes it 95 %" if never else f"{math.ceil(each.days_needed):,} days make it 95 %"
    yield (
        f"{each.of}: Sharpe ratio {each.sharpe.value:.2f} [{each.sharpe.low:.2f}, {each.sharpe.high:.2f}] in {each.days} days; the chance that"
        f" the truth is above zero is {each.psr:.1%}; at this ratio {needed}."
    )
    yield (
        f"{each.of}: {each.trials.count} different trials of this strategy are on record ({each.runs} runs); the chance that the truth is above the"
        f" best of so many without skill is {_percent(each.deflated)}. The count is a lower bound: what was tried elsewhere is not in it."
    )


def _noise(found: Validation) -> Iterable[str]:
    noise, planted = found.noise, found.planted
    if noise is not None:
        spoke = noise.runs - noise.silent
        yield (
            f"On {noise.runs} noise markets of {noise.bars:,} bars ({noise.years * 365:,.0f} days, {noise.silent} without a trade): mean Sharpe ratio"
            f" before costs {_number(noise.mean.value)} [{_number(noise.mean.low)}, {_number(noise.mean.high)}], spread {_number(noise.sd)}"
            f" (theory {_number(noise.sd_expected)}), {_percent(noise.beyond)} beyond 1.96 of theory, after costs {_number(noise.mean_after_costs)}."
        )
        if spoke and not noise.is_honest:
            yield "That mean is not zero at 99.9 % confidence: the strategy or the measuring knows the future. Believe nothing above."
    if planted is not None:
        word = "found" if planted.is_found else "NOT found"
        yield (
            f"The measuring sees an edge where there is one: a rule that follows the last bar, on returns that carry 8 % of themselves on, is"
            f" {word} (Sharpe ratio {planted.sharpe:.2f}, {planted.null.p:.1%} of random entries as good)."
        )


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.2f}"


def _percent(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.1%}"


def _known(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_known(each) for each in value]
    return value
