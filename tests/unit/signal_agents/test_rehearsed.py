"""Every agent that hears the feed, as it is set by default, on the market that plug-ins are rehearsed on: told too much, it uses none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from libs.common.messages import Timeframe
from libs.runtime.lookahead import look_ahead
from libs.runtime.registry import contract_of, machine_of, settings_of
from libs.runtime.rehearsal import rehearsal

AGENTS: dict[str, tuple[Timeframe, int, dict[str, Any]]] = {
    "agent-trend": ("15m", 70, {"trend_ema_fast_span": 5, "trend_ema_slow_span": 12, "trend_wilder_n": 5}),
    "agent-macro": ("1d", 60, {}),
    "agent-levels": ("15m", 80, {"levels_timeframe": "15m", "levels_bars_max": 150}),
}
"""The timeframe on which each is rehearsed, the history it wants, and how it is set where its default takes long."""


def maker(service: str, **told: Any) -> Callable[[], Any]:
    settings = settings_of(service)(**told).machine()
    return lambda: machine_of(service)(settings)


@pytest.mark.no_cover
@pytest.mark.parametrize("service", AGENTS)
def test_an_agent_decides_only_on_what_has_closed(service: str) -> None:
    """Open bars in histories, hours and weeks before their end, histories told again: its decisions stay what they are."""
    base, history_bars, told = AGENTS[service]
    consumes = contract_of(service).consumes
    events = [event for event in rehearsal(base, 40, history_bars, 1) if isinstance(event, consumes)]
    report = look_ahead(maker(service, **told), events)
    assert report.leak is None, str(report.leak)
    assert report.answers >= 30
