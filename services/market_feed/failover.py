"""Which venue speaks, and by which way. Pure: health scores and passed time in, a choice out.

Theory of operation. Venues stand in an order of preference; the first is home, where orders go. A score (0 to 1) says how well a
venue's sockets deliver. Two thresholds and four waits keep the choice still:

    the one that speaks is below `poor` for `leave_after`, another has
        been `good` for `settle_after`                                     that one speaks (the most preferred of them)
    the same, none is `good`, but one has been above `poor` for as long    that one speaks: better than a dead one
    a more preferred one has been `good` for `return_after`                it speaks again
    no venue is above `poor`, for `poll_after`                             the most preferred one whose REST answers is polled
    the polled one has not answered for `leave_after`, another does        that one is polled
    one has been `good` for `settle_after` while we poll                   its sockets speak again

All waits are in our own time: what fails here is a network, and a venue clock at another speed must not make us more or less patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from libs.common.timeframe import SECOND

Via = Literal["SOCKETS", "POLLING"]


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Scores and waits (ns) of the choice."""

    poor: float = 0.5
    good: float = 0.8
    leave_after: int = 5 * SECOND
    return_after: int = 60 * SECOND
    poll_after: int = 5 * SECOND
    settle_after: int = 5 * SECOND


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What one venue is worth at a look: the score of its sockets, and whether its REST answers."""

    score: float
    rest_answers: bool


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks and how; `reason` is why it is not as before."""

    venue: str
    via: Via
    reason: str


class Chooser:
    """The choice among `venues` (most preferred first), beginning with `venue`."""

    def __init__(self, venues: tuple[str, ...], venue: str, patience: Patience | None = None):
        self.choice = Choice(venue=venue, via="SOCKETS", reason="STARTED")
        self._venues = venues
        self._patience = patience or Patience()
        self._poor_ns = dict.fromkeys(venues, 0)
        self._fair_ns = dict.fromkeys(venues, 0)
        self._mute_ns = dict.fromkeys(venues, 0)
        self._good_ns = dict.fromkeys(venues, 0)

    def look(self, health: Mapping[str, Health], passed_ns: int) -> Choice:
        """The choice after a look; venues without health are no venues."""
        patience = self._patience
        for venue in self._venues:
            score = health[venue].score if venue in health else 0.0
            self._poor_ns[venue] = self._poor_ns[venue] + passed_ns if score < patience.poor else 0
            is_mute = venue not in health or not health[venue].rest_answers
            self._mute_ns[venue] = self._mute_ns[venue] + passed_ns if is_mute else 0
            self._fair_ns[venue] = self._fair_ns[venue] + passed_ns if score >= patience.poor else 0
            self._good_ns[venue] = self._good_ns[venue] + passed_ns if score >= patience.good else 0
        changed = self._by_polling(health) if self.choice.via == "POLLING" else self._by_sockets(health)
        if changed is not None and (changed.venue, changed.via) != (self.choice.venue, self.choice.via):
            self.choice = changed
        return self.choice

    def _by_sockets(self, health: Mapping[str, Health]) -> Choice | None:
        patience, venue = self._patience, self.choice.venue
        preferred = self._venues[: self._venues.index(venue)]
        for better in preferred:
            if self._good_ns[better] >= patience.return_after:
                return Choice(venue=better, via="SOCKETS", reason="RETURNED")
        if self._poor_ns[venue] >= patience.leave_after:
            good = [each for each in self._venues if self._good_ns[each] >= patience.settle_after]
            fair = [each for each in self._venues if self._fair_ns[each] >= patience.leave_after]
            for other in (*good, *fair):
                return Choice(venue=other, via="SOCKETS", reason=f"{venue.upper()}_POOR")
        if all(self._poor_ns[each] >= patience.poll_after for each in self._venues):
            return self._polled(health)
        return None

    def _by_polling(self, health: Mapping[str, Health]) -> Choice | None:
        for venue in self._venues:
            if self._good_ns[venue] >= self._patience.settle_after:
                return Choice(venue=venue, via="SOCKETS", reason="SOCKETS_BACK")
        return self._polled(health) if self._mute_ns[self.choice.venue] >= self._patience.leave_after else None

    def _polled(self, health: Mapping[str, Health]) -> Choice | None:
        for venue in self._venues:
            if venue in health and health[venue].rest_answers:
                return Choice(venue=venue, via="POLLING", reason="NO_SOCKETS")
        return None
