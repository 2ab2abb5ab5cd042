"""Who is heard: people on the list, in their private chat, saying it themselves, now.

    update ──▶ new? ──▶ on the list? ──▶ private? ──▶ his own, unchanged words? ──▶ of this minute? ──▶ not too often? ──▶ heard

Strangers, groups and replays get no answer at all; somebody on the list is told why he is not heard. Pure: told the time (s).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from services.telegram_bot.allowances import Allowance
from services.telegram_bot.incoming import Incoming
from services.telegram_bot.wishes import is_halt

Role = Literal["read", "operate"]
Why = Literal[
    "REPLAYED",
    "UNKNOWN_USER",
    "NOT_PRIVATE",
    "FORWARDED",
    "EDITED",
    "VIA_BOT",
    "STALE",
    "NOT_UNDERSTOOD",
    "RATE",
    "ROLE",
    "BAD_CONFIRMATION",
    "STATE_CHANGED",
    "BAD_CODE",
    "USED_CODE",
    "CODE_LOCKED",
    "NO_CODE",
]
"""Why somebody is turned away; the last eight are said further inside, where the words are understood."""

AGE_S_MAX = 60.0
AHEAD_S_MAX = 60.0
SILENCE_S_MAX = 86_400.0
"""After a silent week Telegram begins to number its updates anew, anywhere; a day after the last one every number is new again, and what is replayed
then is too old."""


class Refusal(msgspec.Struct, frozen=True):
    """Why an update is not heard; `answer` is what its sender is told ("": nothing)."""

    why: Why
    answer: str = ""


class Seen(msgspec.Struct):
    """The last update that was looked at, and when (Unix s)."""

    update_id: int = 0
    at: float = 0.0

    def next_id(self, wall: float) -> int:
        """The first number that is new; 0: any."""
        return self.update_id + 1 if self.update_id and wall - self.at < SILENCE_S_MAX else 0


class Admission:
    """Hears or refuses; `users` are the roles of those on the list."""

    def __init__(self, users: dict[int, Role], seen: Seen, rate: int):
        self._users = users
        self.seen = seen
        self._all, self._halts, self._answers = Allowance(rate), Allowance(rate), Allowance(rate)

    def role_of(self, user: int) -> Role | None:
        """What somebody may do; None: he is not on the list."""
        return self._users.get(user)

    def refusal_of(self, update: Incoming, wall: float, now: float) -> Refusal | None:
        """Why it is not heard, or None; `wall` is Unix time, `now` any steady clock (s). It counts as seen."""
        if update.update_id < self.seen.next_id(wall):
            return Refusal("REPLAYED")
        self.seen.update_id, self.seen.at = update.update_id, wall
        if update.user not in self._users or update.is_bot:
            return Refusal("UNKNOWN_USER")
        if not (update.is_private and update.chat == update.user):
            return Refusal("NOT_PRIVATE")
        refusal = self._own_words(update) or self._fresh(update, wall) or self._not_too_often(update, now)
        if refusal is not None and refusal.answer and self._answers.spend(update.user, now):
            return Refusal(refusal.why)  # he knows by now
        return refusal

    def _own_words(self, update: Incoming) -> Refusal | None:
        if update.kind == "edited_message":
            return Refusal("EDITED", "A changed message is not obeyed: send it anew.")
        if update.is_forwarded:
            return Refusal("FORWARDED", "A forwarded message is not obeyed: say it yourself.")
        if update.is_via_bot:
            return Refusal("VIA_BOT", "What another bot has written is not obeyed: say it yourself.")
        return Refusal("NOT_UNDERSTOOD") if update.kind == "other" else None

    def _fresh(self, update: Incoming, wall: float) -> Refusal | None:
        if update.kind != "message":
            return None
        age_s = wall - update.sent_at
        if age_s > AGE_S_MAX:
            return Refusal("STALE", f"That was sent {_span(age_s)} ago and is not obeyed any more: send it again.")
        if age_s < -AHEAD_S_MAX:
            return Refusal("STALE", "That was sent in the future: the clock of this machine is wrong.")
        return None

    def _not_too_often(self, update: Incoming, now: float) -> Refusal | None:
        """A halt has an allowance of its own: no hurry before it can use it up."""
        allowance = self._halts if is_halt(update) else self._all
        if wait_s := allowance.spend(update.user, now):
            return Refusal("RATE", f"Too many requests: again in {int(wait_s) + 1} s. /halt is always heard.")
        return None


def _span(age_s: float) -> str:
    return (
        f"{age_s:.0f} s"
        if age_s < 120
        else f"{age_s / 60:.0f} minutes"
        if age_s < 7_200
        else f"{age_s / 3600:.0f} hours"
    )
