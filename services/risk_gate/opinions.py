"""Which opinions were heard of late, and of when they are: an entry must follow from a fresh one.

An entry follows from the signals that it names as its cause, or that tell the same story (`correlation_id`). Where several do, every one of
them must be fresh, so that no further voice can make an old opinion young. Where the portfolio has said whose votes it counted, only theirs
are looked at, so that an agent nobody has named cannot deny by telling every story; otherwise anybody's are.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AgentSignals, DecisionsMade, OrderIntent
from libs.common.timeframe import STEP

KEPT = 32
"""Messages of one agent that are remembered; an entry follows from one of the last few."""
DECISIONS_KEPT = 256


class OpinionHeard(msgspec.Struct, frozen=True):
    """One message of signals: its id and story, the close (ns) of its bars, and the timeframe by instrument."""

    id: str
    story: str
    end_ts: int
    timeframes: dict[str, str]


class Opinions(msgspec.Struct):
    """By writer, oldest first; and by intent the writers whose votes were counted for it."""

    heard: dict[str, list[OpinionHeard]] = {}
    counted: dict[str, tuple[str, ...]] = {}

    def on_signals(self, event: AgentSignals, instruments: tuple[str, ...]) -> None:
        """Remember of when they are, and of what may be ordered; a timeframe that is none says nothing."""
        timeframes = {
            each.instrument: each.timeframe
            for each in event.signals
            if each.timeframe in STEP and each.instrument in instruments
        }
        mine = self.heard.setdefault(event.producer, [])
        mine.append(OpinionHeard(event.id, event.correlation_id or event.id, event.end_ts, timeframes))
        del mine[:-KEPT]

    def on_decisions(self, event: DecisionsMade) -> None:
        """Remember whose votes an intent rests on; it comes right behind."""
        for each in event.decisions:
            if each.intent_id:
                self.counted[each.intent_id] = tuple(
                    f"agent.{ballot.agent_id}" for ballot in each.ballots if ballot.kind == "RULE"
                )
        for oldest in list(self.counted)[:-DECISIONS_KEPT]:
            del self.counted[oldest]

    def behind(self, intent: OrderIntent) -> list[tuple[int, int]]:
        """The close and the length (ns) of every bar that the intent follows from."""
        counted = self.counted.get(intent.intent_id)
        return [
            (each.end_ts, STEP[each.timeframes[intent.instrument]])
            for writer, heard in self.heard.items()
            if counted is None or writer in counted
            for each in heard
            if intent.instrument in each.timeframes
            and (each.id == intent.causation_id or each.story == intent.correlation_id)
        ]
