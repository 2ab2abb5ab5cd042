"""How the rules' opinions become one: each counts by the weight it has earned and by how fresh it is.

    score = sum(w x d x side) / sum(w x d)       side: LONG +1, FLAT 0, SHORT -1;   d = 1/2 for every half of the time to live

An opinion counts while its bar closed at most `ttl` ago; one that is not ready does not count at all. To enter, enough of them must count
(`quorum`; 0: all that are named), those for and those against must not be nearly as heavy as each other (`conflict`), and the score
must reach `score_min`. A model is no part of this: it judges what comes out (`leash`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from libs.common.messages import Stance

CONFLICT_RATIO = 0.6
"""The lighter side weighs more than this share of the heavier one: nobody knows."""
P_SPAN = 0.2
"""A rule of full strength claims 0.5 + this. A convention: what its claims are worth is what its weight is for."""
_SIDE: dict[Stance, int] = {"LONG": 1, "FLAT": 0, "SHORT": -1}


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's opinion that counts: ready, and `age` (ns, of at most the time to live) old; `weight` is what it has earned."""

    agent_id: str
    stance: Stance
    strength: float
    weight: float
    age: int

    @property
    def p(self) -> float:
        """How likely it claims to be right."""
        return claimed_p(self.strength)


class Joint(msgspec.Struct, frozen=True):
    """What the rules say together: whether to enter, the score, and for HOLD why."""

    enters: bool
    score: float
    reason: str


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How opinions are joined: time to live (ns), how many of `named` agents must count (0: all), and the least score to enter at."""

    ttl: int
    named: int
    quorum: int
    score_min: float


def claimed_p(strength: float) -> float:
    """The probability that a rule of this strength (in [0, 1]) claims."""
    return 0.5 + P_SPAN * strength


def freshness(age: int, ttl: int) -> float:
    """1 when new (or from the near future), halved with every half of the time to live."""
    return 1.0 if age <= 0 else 0.5 ** (age / (ttl / 2))


def joined(voices: Sequence[Voice], terms: Terms) -> Joint:
    """What these opinions say together. Without anybody LONG there is nothing to enter; one voice alone has the score of its side."""
    score = score_of(voices, terms.ttl)
    stances = [voice.stance for voice in voices]
    if "LONG" not in stances:
        return Joint(False, score, "no rule")
    if len(voices) < (terms.quorum or terms.named):
        return Joint(False, score, "quorum")
    if "SHORT" in stances and in_conflict(voices, terms.ttl):
        return Joint(False, score, "conflict")
    if score < terms.score_min:
        return Joint(False, score, "score")
    return Joint(True, score, "long")


def speaks_against(voices: Sequence[Voice], ttl: int) -> bool:
    """Whether they want to leave: some say SHORT and are not clearly outweighed."""
    against, in_favour = _heft(voices, ttl, "SHORT"), _heft(voices, ttl, "LONG")
    return against > 0 and against > CONFLICT_RATIO * in_favour


def score_of(voices: Sequence[Voice], ttl: int) -> float:
    """The weighted share of LONG less that of SHORT, in [-1, 1]; 0 where nobody counts."""
    hefts = [voice.weight * freshness(voice.age, ttl) for voice in voices]
    whole = sum(hefts)
    sided = sum([_SIDE[voice.stance] * heft for voice, heft in zip(voices, hefts, strict=True)])
    return sided / whole if whole > 0 else 0.0


def in_conflict(voices: Sequence[Voice], ttl: int) -> bool:
    """Whether the two sides are nearly as heavy as each other."""
    one, other = sorted((_heft(voices, ttl, "LONG"), _heft(voices, ttl, "SHORT")))
    return other > 0 and one > CONFLICT_RATIO * other


def without_each(voices: Sequence[Voice], decide: Callable[[Sequence[Voice]], float]) -> dict[str, float]:
    """For each agent, what `decide` says without it (leave one out)."""
    return {
        left_out.agent_id: decide([voice for voice in voices if voice.agent_id != left_out.agent_id])
        for left_out in voices
    }


def _heft(voices: Sequence[Voice], ttl: int, stance: Stance) -> float:
    return sum(voice.weight * freshness(voice.age, ttl) for voice in voices if voice.stance == stance)
