"""What must hold of proposals, judgements and decisions: each once, none without the other, and no model beyond its leash."""

from __future__ import annotations

from libs.common.messages import DecisionsMade, EntriesProposed, EntryJudged, Message, OrderIntent


class Votes:
    """Reads the log's proposals, judgements, decisions and wishes; `complaints` are what must not be."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._proposed: dict[str, tuple[str, int]] = {}
        self._judged: set[str] = set()
        self._decided: set[tuple[str, int]] = set()
        self._entering: set[str] = set()

    def take(self, message: Message) -> None:
        """Learn one message."""
        match message:
            case EntriesProposed():
                for each in message.proposals:
                    self._hold(each.proposal_id not in self._proposed, f"{each.instrument} was proposed twice")
                    self._proposed[each.proposal_id] = (each.instrument, message.end_ts)
            case EntryJudged():
                self._hold(message.proposal_id in self._proposed, f"{message.instrument}: judged, and never proposed")
                self._hold(message.proposal_id not in self._judged, f"{message.instrument} was judged twice")
                self._judged.add(message.proposal_id)
            case DecisionsMade():
                self._take_decisions(message)
            case OrderIntent(side="BUY"):
                self._hold(
                    message.intent_id in self._entering, f"{message.instrument} is wished for without a decision"
                )
                self._entering.discard(message.intent_id)

    def undecided(self) -> list[str]:
        """Proposals without a decision; asked at the end."""
        return [
            f"{instrument} was proposed after {end_ts} and never decided"
            for instrument, end_ts in self._proposed.values()
            if (instrument, end_ts) not in self._decided
        ]

    def _take_decisions(self, made: DecisionsMade) -> None:
        self._hold(0 <= made.model_driven <= made.model_asked, f"{made.model_driven} of {made.model_asked} driven")
        for each in made.decisions:
            key = (each.instrument, made.end_ts)
            self._hold(key not in self._decided, f"{each.instrument} was decided twice after {made.end_ts}")
            self._decided.add(key)
            largest = 1.5 if made.mode == "tilt" else 1.0
            self._hold(each.size_factor <= largest, f"{each.instrument} at {each.size_factor} in {made.mode}")
            is_heard = each.driver == "RULES" or made.mode in ("confirm", "tilt")
            self._hold(is_heard, f"{each.instrument} was driven by a model in {made.mode}")
            self._hold((each.action == "ENTER") == (each.size_factor > 0), f"{each.instrument}: {each}")
            if each.intent_id:
                self._entering.add(each.intent_id)

    def _hold(self, condition: bool, text: str) -> None:
        if not condition:
            self.complaints.append(text)
