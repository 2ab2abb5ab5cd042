"""How a story tells a map of levels: each zone with what it rests on, and where volume changed hands."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from libs.common.messages import LevelMap, LevelsMapped


def levels_said(message: LevelsMapped, instruments: tuple[str, ...]) -> tuple[str, list[str | Text]]:
    """A headline, and lines of detail; of `instruments` only, if there are any."""
    maps = [each for each in message.maps if not instruments or each.instrument in instruments]
    zones = sum(len(each.zones) for each in maps)
    return f"{message.agent_id} sees {zones} zones", [line for each in maps for line in _map_lines(each)]


def _map_lines(level_map: LevelMap) -> Iterator[str]:
    head = f"{level_map.instrument} {level_map.timeframe}"
    if not level_map.ready:
        yield f"{head} not warm yet"
        return
    yield f"{head} close {level_map.close_px:g} atr {level_map.atr or 0.0:.6g}"
    for zone in reversed(level_map.zones):
        yield f"{zone.role} {zone.lo:.8g} to {zone.hi:.8g}, {zone.touches} touches, score {zone.score:.2f}"
    if level_map.poc is not None and level_map.val is not None and level_map.vah is not None:
        yield f"volume: most at {level_map.poc:.8g}, 70 % within {level_map.val:.8g} to {level_map.vah:.8g}"
