"""What votes were worth: each is held until the next bar of its instrument has closed, and then counted for or against its agent.

    vote at the close of bar t ──▶ held ──▶ bar t+1 closes above / below ──▶ tally, weight, share
                                      └── bar t+1 is missing, or closes where it was: dropped, it says nothing

What a bar closed at is the feed's to say, never an agent's: whoever is scored must not hold the ruler. Nor does a vote count that comes
after the first quarter of the bar it is about, for it may have seen how that bar goes.

All votes about one close are learned together (`stacking`), so that an agent which only repeats another earns nothing. An agent's share is
what the decision earned over that bar, less what the decision without that agent would have: (size - size without it) x return.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import AgentScore, Ballot
from libs.trading.calibration import Tally, wilson
from libs.trading.stacking import MODEL, RULE, Prior, Stack, log_odds

RULE_WEIGHT_MIN = 0.1
"""A rule that the operator has named keeps a voice, whatever it has earned; to silence it he takes it off the list."""
PROMOTION_Z = 1.64
PROMOTION_VOTES_MIN = 200
COIN = 0.5
BPS = 10_000.0
HELD_MAX = 4
"""Closes of one instrument that may wait for their outcome; more would mean that bars come and never end."""
VOTE_SHARE_MAX = 4
"""A vote comes within one part in so many of the bar it is about: the gate's bound for the opinion behind an entry, too."""


def bars_of(instrument: str, timeframe: str) -> str:
    """The name of an instrument's bars of one timeframe: votes are about the next of these."""
    return f"{instrument} {timeframe}"


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's stance at a close: `side` +1 up, -1 down, with probability `p`."""

    agent_id: str
    is_model: bool
    side: int
    p: float


class Close(msgspec.Struct, kw_only=True):
    """A bar's close (`px`), the votes about the next one, which closes at `due` (ns), and what the decision was, if there was one.

    Votes are held until `votes_until` (ns).
    """

    due: int
    votes_until: int = 0
    px: float
    votes: list[Vote] = []
    size: float = 0.0
    size_without: dict[str, float] = {}


class Scorebook(msgspec.Struct, kw_only=True):
    """Everything that is known of what agents are worth. `closes` wait for their outcome, by bars (`bars_of`) and end."""

    stack: Stack = msgspec.field(default_factory=Stack)
    tallies: dict[str, Tally] = {}
    shares: dict[str, float] = {}
    models: list[str] = []
    closes: dict[str, dict[int, Close]] = {}
    told_at: int = 0

    def weight(self, agent_id: str) -> float:
        """What a rule's opinion counts."""
        return max(RULE_WEIGHT_MIN, self.stack.weight(agent_id, RULE.mean))

    def has_earned(self, agent_id: str) -> bool:
        """Whether a model's weight is above zero with 95 % confidence, on enough votes."""
        tally = self.tallies.get(agent_id)
        if tally is None or tally.votes < PROMOTION_VOTES_MIN:
            return False
        return self.stack.weight(agent_id) - PROMOTION_Z * self.stack.sd(agent_id) > 0

    def is_disproved(self, agent_id: str) -> bool:
        """Whether an agent is right less often than a coin with 95 % confidence, on enough votes.

        Not by its weight: of one that always contradicts a rule stacking cannot tell which of the two is wrong.
        """
        tally = self.tallies.get(agent_id)
        if tally is None or tally.votes < PROMOTION_VOTES_MIN:
            return False
        return wilson(tally.hits, tally.votes)[1] < COIN

    def closed(self, bars: str, end_ts: int, px: float, step: int) -> None:
        """One of `bars` closed at `px`: what waited for it is resolved, and votes about the next one (`step` ns later) may be held.

        A bar that is told again, or after a later one, says nothing: its outcome is known.
        """
        waiting = self.closes.get(bars)
        if waiting is None:
            waiting = self.closes[bars] = {}
        if waiting and max(waiting) >= end_ts:
            return
        for bar, close in sorted(waiting.items()):
            if close.due == end_ts and (close.votes or close.size_without):
                self._resolve(close, px)
            if close.due <= end_ts:
                del waiting[bar]
        if len(waiting) < HELD_MAX:
            waiting[end_ts] = Close(due=end_ts + step, votes_until=end_ts + step // VOTE_SHARE_MAX, px=px)

    def vote(self, bars: str, end_ts: int, vote: Vote, now: int) -> None:
        """Hold a vote about the close at `end_ts`, said at `now` (ns); one that comes late, or a second one, is not counted."""
        close = self.closes.get(bars, {}).get(end_ts)
        if close is None or now > close.votes_until or any(held.agent_id == vote.agent_id for held in close.votes):
            return
        close.votes.append(vote)

    def decided(self, bars: str, end_ts: int, size: float, ballots: tuple[Ballot, ...]) -> None:
        """Hold what was decided after the close at `end_ts`, and what it would have been without each."""
        close = self.closes.get(bars, {}).get(end_ts)
        if close is not None:
            close.size = size
            close.size_without = {ballot.agent_id: ballot.size_without for ballot in ballots}

    def scores(self) -> tuple[AgentScore, ...]:
        """Every agent that has a resolved vote, rules first, then by name."""
        return tuple(self._score(agent) for agent in sorted(self.tallies, key=lambda each: (each in self.models, each)))

    def _resolve(self, close: Close, px: float) -> None:
        if px == close.px:
            return
        went_up = px > close.px
        evidence: dict[str, float] = {}
        for vote in close.votes:
            prior: Prior = MODEL if vote.is_model else RULE
            self.stack.join(vote.agent_id, prior)
            if vote.is_model and vote.agent_id not in self.models:
                self.models.append(vote.agent_id)
            self.tallies.setdefault(vote.agent_id, Tally()).add(vote.p, (vote.side > 0) == went_up)
            evidence[vote.agent_id] = vote.side * log_odds(vote.p)
        if evidence:
            self.stack.learn(evidence, went_up)
        earned = (px / close.px - 1.0) * BPS
        for agent, without in close.size_without.items():
            self.shares[agent] = self.shares.get(agent, 0.0) + (close.size - without) * earned

    def _score(self, agent_id: str) -> AgentScore:
        tally, is_model = self.tallies[agent_id], agent_id in self.models
        low, high = wilson(tally.hits, tally.votes)
        return AgentScore(
            agent_id=agent_id,
            kind="MODEL" if is_model else "RULE",
            votes=tally.votes,
            hits=tally.hits,
            hit_rate=tally.hit_rate,
            hit_rate_lo=low,
            hit_rate_hi=high,
            brier=tally.brier,
            ece=tally.ece,
            weight=self.stack.weight(agent_id),
            weight_sd=self.stack.sd(agent_id),
            is_promoted=not is_model or self.has_earned(agent_id),
            share_bps=self.shares.get(agent_id, 0.0),
        )
