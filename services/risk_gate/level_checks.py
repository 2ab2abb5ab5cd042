"""What support and resistance have to say; part of every verdict of a gate that listens to the levels agent (`levels`).

Where no map was told, or one that is not warm, nothing is known to be in the way, and that is said.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import PriceZone
from libs.common.money import to_decimal
from libs.trading.level_plan import ROOM_ATR_MIN, ROOM_RISKS_MIN
from services.risk_gate.case import MISSING, Case, shown
from services.risk_gate.findings import Finding

NO_MAP = "no map"


def inside_zone(case: Case) -> Finding:
    """An entry is not bought inside a zone: whether it holds is what is being decided there."""
    zones, px = _zones(case), case.entry_px
    if px is None:
        return Finding(False, MISSING, "outside of every zone")
    within = next((zone for zone in zones or () if to_decimal(zone.lo) <= px <= to_decimal(zone.hi)), None)
    return Finding(within is None, shown(px), _named(within) if within else _limit(zones, "outside of every zone"))


def near_level(case: Case) -> Finding:
    """There is room to the next zone above: three quarters of an ATR, and half as much again as is risked."""
    zones, px, stop = _zones(case), case.entry_px, case.stop_px
    if px is None or stop is None:
        return Finding(False, MISSING, "room")
    above = min((to_decimal(zone.lo) for zone in zones or () if to_decimal(zone.lo) > px), default=None)
    if case.intent.side == "SELL" or above is None:
        return Finding(True, "free", _limit(zones, "room"))
    level_map = case.view.levels[case.intent.instrument]
    wanted = max(ROOM_ATR_MIN * to_decimal(level_map.atr or 0.0), ROOM_RISKS_MIN * (px - stop))
    return Finding(above - px >= wanted, shown(above - px), f"at least {shown(wanted)}")


def _zones(case: Case) -> tuple[PriceZone, ...] | None:
    level_map = case.view.levels.get(case.intent.instrument)
    return level_map.zones if level_map is not None and level_map.ready else None


def _limit(zones: tuple[PriceZone, ...] | None, otherwise: str) -> str:
    return NO_MAP if zones is None else otherwise


def _named(zone: PriceZone) -> str:
    return f"not within {shown(Decimal(str(zone.lo)))}..{shown(Decimal(str(zone.hi)))}"
