"""One-time codes (RFC 6238, 30 s): each counts once for its user, one step early or late; who guesses is locked out.

Pure: told the time (Unix s). What was used and who is locked is in `Marks`, which is kept over restarts, so that no restart makes a code new.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Literal

import msgspec
import pyotp

STEP_S = 30
WRONG_MAX = 5
LOCKED_S = 900.0

Verdict = Literal["GOOD", "BAD_CODE", "USED_CODE", "CODE_LOCKED", "NO_CODE"]


class Marks(msgspec.Struct):
    """Of one user: the last step whose code was used, wrong codes since the last good one, locked until (Unix s)."""

    step: int = 0
    wrong: int = 0
    locked_until: float = 0.0


class Codes:
    """Judges codes; `seeds` by user. No code up to the step `void_to` counts."""

    def __init__(self, seeds: Mapping[int, str], marks: dict[int, Marks], void_to: int = 0):
        self._seeds = seeds
        self._marks = marks
        self._void_to = void_to

    def has_seed(self, user: int) -> bool:
        """Whether there can be a good code of this user's."""
        return user in self._seeds

    def locked_s(self, user: int, wall: float) -> float:
        """For how long nothing of this user's counts any more; 0: it does."""
        marks = self._marks.get(user)
        return max(0.0, marks.locked_until - wall) if marks is not None else 0.0

    def judge(self, user: int, code: str, wall: float) -> Verdict:
        """Whether the code is good; a good one is used up, and the fifth wrong one in a row locks."""
        if user not in self._seeds:
            return "NO_CODE"
        if self.locked_s(user, wall):
            return "CODE_LOCKED"
        marks = self._marks.setdefault(user, Marks())
        step = self._step_of(user, code, int(wall) // STEP_S)
        if step > max(marks.step, self._void_to):
            marks.step, marks.wrong = step, 0
            return "GOOD"
        if step:  # a good code once more is no guess
            return "USED_CODE"
        marks.wrong += 1
        if marks.wrong >= WRONG_MAX:
            marks.wrong, marks.locked_until = 0, wall + LOCKED_S
            return "CODE_LOCKED"
        return "BAD_CODE"

    def _step_of(self, user: int, code: str, now: int) -> int:
        """The step whose code it is; 0: of none around now. Every step is compared, so that none is faster."""
        totp = pyotp.TOTP(self._seeds[user])
        steps = (now - 1, now, now + 1)
        found = [hmac.compare_digest(totp.at(step * STEP_S).encode(), code.encode()) for step in steps]
        return max((step for step, is_it in zip(steps, found, strict=True) if is_it), default=0)
