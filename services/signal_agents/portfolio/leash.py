"""What a model's judgement may do to an entry that the rules want. It cannot make one.

| mode | agrees, or has no opinion | against it, p below `veto_p` | against it, p from `veto_p` | no judgement |
|---|---|---|---|---|
| off, shadow | 1 | 1 | 1 | 1 |
| confirm | 1 | 1/2 | 0: not entered | 1 |
| tilt, not promoted | as confirm | | | |
| tilt, promoted | 1 to 3/2, by its weighed evidence | 1/2 to 1, likewise | 0: not entered | 1 |

A model that has been disproved (right less often than a coin, with 95 % confidence) is asked and scored, and not heard any more: "no judgement".

The number is the share of the full risk. In tilt the model's evidence weight x logit(p) is set against the rules' own, and never counts for more
than half of it (`TILT_CAP`): an insurance against a model that was good until the day it was not.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.messages import EntryJudged, ModelMode
from libs.trading.stacking import log_odds
from services.signal_agents.portfolio.joining import Voice, freshness

SHRUNK = 0.5
TILT_CAP = 0.5


class Grip(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is heard: the mode, from which p its dissent is a veto, and how long an entry waits for it (ns)."""

    mode: ModelMode = "off"
    veto_p: float = 0.6
    wait: int = 25_000_000_000


class Standing(msgspec.Struct, frozen=True):
    """What a model has earned: its weight, and whether that is above zero with 95 % confidence."""

    weight: float
    is_promoted: bool


def size_factor(judged: EntryJudged | None, grip: Grip, standing: Standing, voices: Sequence[Voice], ttl: int) -> float:
    """The share of the full risk at which a LONG that `voices` want is entered; 0: it is not."""
    if judged is None or judged.outcome == "FAILED" or grip.mode in ("off", "shadow") or judged.expects == "none":
        return 1.0
    if judged.expects == "down" and judged.p >= grip.veto_p:
        return 0.0
    if grip.mode == "tilt" and standing.is_promoted:
        own = sum(
            voice.weight * freshness(voice.age, ttl) * log_odds(voice.p) for voice in voices if voice.stance == "LONG"
        )
        side = 1.0 if judged.expects == "up" else -1.0
        share = side * standing.weight * log_odds(judged.p) / own if own > 0 else 0.0
        return 1.0 + max(-TILT_CAP, min(TILT_CAP, share))
    return SHRUNK if judged.expects == "down" else 1.0
