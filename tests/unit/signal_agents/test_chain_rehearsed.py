"""The whole chain from bars to decisions looks at nothing that has not closed: trend, levels, model agent and portfolio as one machine.

What the portfolio decides follows from what the agents say, so holding it against prefixes needs them before it. They are wired as the log
wires them; the model is absent, so that every proposal is decided by the rules.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest

from libs.common.ids import derive_id
from libs.common.messages import (
    DecisionsMade,
    FeedBars,
    FeedHistory,
    FeedStatus,
    LevelsMapped,
    Message,
    OrderIntent,
)
from libs.common.timeframe import SECOND
from libs.runtime.lookahead import look_ahead
from libs.runtime.machine import Effect, Perform, Publish
from libs.runtime.rehearsal import rehearsal
from services.signal_agents.levels.machine import LevelsMachine
from services.signal_agents.levels.track import Shape as LevelsShape
from services.signal_agents.llm.machine import LlmMachine, Manner
from services.signal_agents.llm.paper import no_model
from services.signal_agents.llm.prompt import Params
from services.signal_agents.portfolio.leash import Grip
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.track import Bounds, Shape
from tests.unit.signal_agents.portfolio_story import SETTINGS, worth

BARS, HISTORY = 14, 160
"""Every instant of each is tried against four others: more would show the same, for minutes."""
WRITERS = ("agent.trend", "agent.levels", "agent.llm", "portfolio")
SHAPE = Shape(timeframe="15m", ema_fast_span=3, ema_slow_span=6, wilder_n=3)


class Chain:
    """Four machines and the messages between them; what it says is what the portfolio says."""

    class State(msgspec.Struct):
        """The four states, frozen and thawed together."""

        parts: list[Any]

    def __init__(self) -> None:
        grip = Grip(mode="confirm", wait=25 * SECOND)
        self.machines: tuple[Any, ...] = (
            TrendMachine(
                TrendMachine.Settings(
                    shape=SHAPE,
                    bounds=Bounds(adx_threshold=5.0, rsi_overbought=99.0),
                    gap_bars_max=3,
                    higher=(msgspec.structs.replace(SHAPE, timeframe="1h").timeframe,),
                )
            ),
            LevelsMachine(
                LevelsMachine.Settings(shape=LevelsShape(timeframe="15m", bars_max=150, fade_bars=100), gap_bars_max=3)
            ),
            LlmMachine(Manner(params=Params(model="m"))),
            PortfolioMachine(msgspec.structs.replace(SETTINGS, uses_levels=True, grip=grip, denial_cooldown=0)),
        )
        self.machines[3].handle(worth(), 0)

    @property
    def state(self) -> Chain.State:
        """All of it."""
        return self.State([msgspec.to_builtins(machine.state, str_keys=True) for machine in self.machines])

    @state.setter
    def state(self, thawed: Chain.State) -> None:
        for machine, part in zip(self.machines, thawed.parts, strict=True):
            machine.state = msgspec.convert(part, type(machine).State, strict=False)

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Let the event go through everybody, and all that follows from it."""
        said: list[Effect] = []
        log = deque([event])
        count = 0
        while log:
            message = log.popleft()
            for writer, machine in zip(WRITERS, self.machines, strict=True):
                for effect in machine.handle(message, now):
                    if isinstance(effect, Perform):
                        log.append(no_model(effect.request_id, now))
                    elif isinstance(effect, Publish):
                        count += 1
                        made = derive_id(writer, now, count)
                        stamped = msgspec.structs.replace(
                            effect.message, id=made, ts_init=now, correlation_id=made, producer=writer
                        )
                        log.append(stamped)
                        if writer == "portfolio":
                            said.append(Publish(stamped))
                    elif writer == "portfolio":
                        said.append(effect)
        portfolio = self.machines[3].state
        for book in portfolio.books.values():
            book.wish = None  # nobody judges here: each bar may wish again
        return said


@pytest.mark.no_cover
def test_decisions_rest_on_what_has_closed() -> None:
    """Open bars in histories, hours told early: entries, sizes, stops, votes and scores stay what they are; the future changes none."""
    events = [
        each for each in rehearsal("15m", BARS, HISTORY, 3) if isinstance(each, FeedBars | FeedHistory | FeedStatus)
    ]
    lived = [
        effect.message
        for chain in [Chain()]
        for each in events
        for effect in chain.handle(each, each.ts_init)
        if isinstance(effect, Publish)
    ]
    assert sum(isinstance(each, OrderIntent) for each in lived) >= 3
    assert sum(isinstance(each, DecisionsMade) for each in lived) >= 3
    report = look_ahead(Chain, events)
    assert report.leak is None, str(report.leak)


def test_levels_speak_in_this_market() -> None:
    """Otherwise their part in the chain would show nothing."""
    machine = Chain().machines[1]
    events = [
        each for each in rehearsal("15m", BARS, HISTORY, 3) if isinstance(each, FeedBars | FeedHistory | FeedStatus)
    ]
    said = [
        effect.message
        for each in events
        for effect in machine.handle(each, each.ts_init)
        if isinstance(effect, Publish)
    ]
    assert any(level_map.ready for each in said if isinstance(each, LevelsMapped) for level_map in each.maps)
