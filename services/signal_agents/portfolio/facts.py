"""The numbers a proposal shows a model: what the rules saw, and where the market stands between them. Ours only, finite, by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from libs.common.messages import Regime
from services.signal_agents.portfolio.book import Opinion, Quote
from services.signal_agents.portfolio.exits import Zones

FACTS_MAX = 32
BPS = 10_000.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REGIME = {"BULL": 1.0, "NEUTRAL": 0.0, "BEAR": -1.0}


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an instrument beside the opinions; None: nothing."""

    quote: Quote | None = None
    zones: Zones | None = None
    regime: Regime | None = None


def shown_facts(evidence: Mapping[str, float]) -> dict[str, float]:
    """What of an agent's evidence may be shown to a model, and so need be remembered: whoever wrote it may have written a book."""
    sound = {name: value for name, value in evidence.items() if _NAME.fullmatch(name) and math.isfinite(value)}
    return dict(list(sound.items())[:FACTS_MAX])


def facts_of(opinions: Mapping[str, Opinion], around: Surroundings) -> dict[str, float]:
    """The facts of these opinions, the first of which leads; at most `FACTS_MAX`, the market's before the rules'.

    Prices are told as distances (in ATR, basis points), so that a model cannot know the date by them; names that a model must not be
    shown are left out, and so is what is not a finite number.
    """
    lead = next(iter(opinions.values()))
    found: dict[str, float] = {"atr_bps": lead.atr / lead.close_px * BPS}
    if around.quote is not None and around.quote.bid_px > 0:
        found["spread_bps"] = (around.quote.ask_px / around.quote.bid_px - 1.0) * BPS
    if around.regime is not None and around.regime.state in _REGIME:
        found["weekly_regime"] = _REGIME[around.regime.state]
        found["weekly_bars"] = float(around.regime.weeks)
    if around.zones is not None and lead.atr > 0:
        found |= _distances(lead.close_px, lead.atr, around.zones)
    for agent, opinion in opinions.items():
        found.setdefault(f"{agent}_strength", opinion.strength)
        for name, value in opinion.evidence.items():  # an agent called "spread" does not say what the spread is
            found.setdefault(f"{agent}_{name}", _relative(name, value, opinion))
    return shown_facts(found)


def _relative(name: str, value: float, opinion: Opinion) -> float:
    """A moving average as its distance from the price in ATR; anything else as it is."""
    if name.startswith("ema") and opinion.atr > 0:
        return (opinion.close_px - value) / opinion.atr
    return value / opinion.close_px * BPS if name.startswith("atr") else value


def _distances(px: float, atr: float, zones: Zones) -> dict[str, float]:
    """How far the nearest zones are, in ATR; nothing of a side where there is none."""
    found = {}
    above = [zone.lo for zone in zones.zones if zone.lo > px]
    below = [zone.hi for zone in zones.zones if zone.hi < px]
    if above:
        found["zone_above_atr"] = (min(above) - px) / atr
    if below:
        found["zone_below_atr"] = (px - max(below)) / atr
    if any(zone.lo <= px <= zone.hi for zone in zones.zones):
        found["inside_zone"] = 1.0
    return found
