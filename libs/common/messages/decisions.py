"""How opinions become a decision: what the portfolio proposes to a model, what the model thinks of it, what is decided and why."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from libs.common.messages.base import Message

Stance = Literal["LONG", "SHORT", "FLAT"]
ModelMode = Literal["off", "shadow", "confirm", "tilt"]


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry that the rules want, for a model to judge. `agent_id` leads it, `strength` is in [0, 1].

    `facts` are the numbers it rests on, by name; after `valid_until` (ns) a judgement changes nothing any more.
    """

    proposal_id: str
    instrument: str
    agent_id: str
    stance: Literal["LONG"]
    strength: float
    facts: dict[str, float]
    valid_until: int


class EntriesProposed(Message, frozen=True, kw_only=True, tag="entries_proposed.v1"):
    """Entries that the rules want after the bars that closed at `end_ts`."""

    said_by: ClassVar[str] = "portfolio"
    suffix: ClassVar[str] = "proposals"

    end_ts: int
    proposals: tuple[Proposal, ...]


class EntryJudged(Message, frozen=True, kw_only=True, tag="entry_judged.v1"):
    """A model's judgement of one proposal, or that there is none and why (`failure`, empty for JUDGED).

    `p` in [0.5, 0.95] is how likely `expects` comes true by the end of the next bar. `evidence` names the facts and texts it rests on
    (f1, t2, ...), `key` the recorded question, `model` who answered it.
    """

    said_by: ClassVar[str] = "agent.llm"
    suffix: ClassVar[str] = "judgement.{instrument}"

    proposal_id: str
    instrument: str
    outcome: Literal["JUDGED", "FAILED"]
    failure: str
    expects: Literal["up", "down", "none"]
    p: float
    evidence: tuple[str, ...]
    why: str
    flags: tuple[str, ...]
    case_id: str
    key: str
    model: str


class Ballot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent's vote as it was counted: `p` in [0.5, 1) that its stance is right, its earned `weight`, and how fresh it was (1 to 0.25).

    `size_without` is the size factor that would have been decided without this agent: its share in the decision.
    """

    agent_id: str
    kind: Literal["RULE", "MODEL"]
    stance: Stance
    p: float
    weight: float
    freshness: float
    size_without: float


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was decided about one instrument: to ENTER at `size_factor` of the risk, or to HOLD (0), and why.

    The risk is the full one times `regime_share`: 1 in a weekly trend, less without one or against it.

    `score` in [-1, 1] is the weighted share of the rules that say LONG less those that say SHORT. `driver` is MODEL where a model's judgement
    was in time and counted; otherwise `fallback` says why not ("off", "timeout", "silent", ...).
    `intent_id` is the wish that follows; "" for HOLD.
    """

    instrument: str
    action: Literal["ENTER", "HOLD"]
    reason: str
    size_factor: float
    regime_share: float
    score: float
    ballots: tuple[Ballot, ...]
    driver: Literal["RULES", "MODEL"]
    fallback: str
    intent_id: str


class DecisionsMade(Message, frozen=True, kw_only=True, tag="decisions_made.v1"):
    """What was decided about the bars that closed at `end_ts`: only instruments some rule wants to be LONG in and that are free.

    `model_driven` of `model_asked` decisions so far were driven by a model: what is missing is fallback, and shown everywhere.
    """

    said_by: ClassVar[str] = "portfolio"
    suffix: ClassVar[str] = "decisions"

    end_ts: int
    mode: ModelMode
    decisions: tuple[Decision, ...]
    model_driven: int
    model_asked: int


class AgentScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent's votes were worth so far, by whether the next bar closed as they said.

    `hit_rate` comes with its 95 % Wilson interval. `brier` is the mean squared error of its probabilities (0.25: a coin), `ece` how far they
    are from the frequencies they claim (ten bins). `weight` and `weight_sd` are what stacking has learned; `is_promoted`: a model
    whose weight is above zero with 95 % confidence. `share_bps` sums what decisions would have earned less without it (leave one out, one bar).
    """

    agent_id: str
    kind: Literal["RULE", "MODEL"]
    votes: int
    hits: int
    hit_rate: float
    hit_rate_lo: float
    hit_rate_hi: float
    brier: float
    ece: float
    weight: float
    weight_sd: float
    is_promoted: bool
    share_bps: float


class AgentsScored(Message, frozen=True, kw_only=True, tag="agents_scored.v1"):
    """How the agents have done by `end_ts`; said once an hour of market time, while anything is resolved."""

    said_by: ClassVar[str] = "portfolio"
    suffix: ClassVar[str] = "scores"

    end_ts: int
    scores: tuple[AgentScore, ...]
