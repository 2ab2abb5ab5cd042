"""Confirmations: a button that works once, for one person, in one chat, for one command, while things are as they were when it was shown.

What a button carries is a random name of 128 bits and nothing else; what it is bound to is kept here. A restart forgets all of them: then nothing is
confirmed any more, and the command is to be said again. Pure but for the names, whose maker is given.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from decimal import Decimal
from typing import Literal

import msgspec

from services.telegram_bot.wishes import Wish

VALID_S = 60.0
KEPT_S = 600.0
KEPT_MAX = 1_000


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """How things stood when the question was put, as far as the command depends on it."""

    trading: str
    held: dict[str, Decimal] = {}
    resting: tuple[str, ...] = ()

    def changes(self, now: Shown) -> list[str]:
        """What is otherwise by now, in words."""
        found = [] if self.trading == now.trading else [f"trading was {self.trading} and is {now.trading}"]
        for name in sorted(self.held.keys() | now.held.keys()):
            then, today = self.held.get(name, Decimal(0)), now.held.get(name, Decimal(0))
            if then != today:
                found.append(f"{name}: {then.normalize():f} was held, {today.normalize():f} is")
        gone, came = set(self.resting) - set(now.resting), set(now.resting) - set(self.resting)
        found += [f"{len(gone)} of the resting orders are gone"] if gone else []
        found += [f"{len(came)} resting orders have come"] if came else []
        return found


class Confirmation(msgspec.Struct, kw_only=True):
    """A question that waits for its answer (`until`, s, any steady clock). `stage` goes ASKED → (CODE →) DONE."""

    name: str
    wish: Wish
    user: int
    chat: int
    shown: Shown
    until: float
    is_proven: bool
    stage: Literal["ASKED", "CODE", "DONE", "DROPPED"] = "ASKED"
    query_id: str = ""


class NotConfirmed(Exception):
    """This press confirms nothing; the text says why."""


class Confirmations:
    """What waits to be confirmed."""

    def __init__(self, make_name: Callable[[], str] = lambda: secrets.token_urlsafe(16)):
        self._make_name = make_name
        self._kept: dict[str, Confirmation] = {}

    def ask(self, wish: Wish, user: int, chat: int, shown: Shown, now: float, *, is_proven: bool) -> Confirmation:
        """A new question; whatever else waits of this user is dropped: only the last question counts."""
        for each in self._kept.values():
            if each.user == user and each.stage in ("ASKED", "CODE"):
                each.stage = "DROPPED"
        found = Confirmation(
            name=self._make_name(),
            wish=wish,
            user=user,
            chat=chat,
            shown=shown,
            until=now + VALID_S,
            is_proven=is_proven,
        )
        self._kept[found.name] = found
        self._forget(now)
        return found

    def press(self, name: str, user: int, chat: int, query_id: str, now: float) -> Confirmation:
        """The question that is answered by this press; it cannot be pressed again.

        Raises:
            NotConfirmed
        """
        found = self._kept.get(name)
        if found is None:
            raise NotConfirmed("this question is not known: it is too old, was asked before a restart, or never was")
        if (found.user, found.chat) != (user, chat):
            raise NotConfirmed("somebody else was asked")
        if found.stage == "DROPPED":
            raise NotConfirmed("this question is void: it was answered with No, or a later one was asked")
        if found.stage != "ASKED":
            raise NotConfirmed("this was confirmed already; nothing was said twice")
        if now >= found.until:
            raise NotConfirmed(f"more than {VALID_S:.0f} s have passed: send the command again")
        found.stage, found.query_id = "DONE", query_id
        return found

    def drop(self, name: str, user: int, chat: int, now: float) -> Confirmation:
        """The question that is answered with No.

        Raises:
            NotConfirmed: it is not open.
        """
        found = self.press(name, user, chat, "", now)
        found.stage = "DROPPED"
        return found

    def await_code(self, confirmation: Confirmation, now: float) -> None:
        """It is confirmed, and wants a code."""
        confirmation.stage, confirmation.until = "CODE", now + VALID_S

    def waiting_for_code(self, user: int, chat: int, now: float) -> Confirmation | None:
        """The confirmed question of this user that a code is waited for."""
        for each in self._kept.values():
            if (each.user, each.chat, each.stage) == (user, chat, "CODE") and now < each.until:
                return each
        return None

    def _forget(self, now: float) -> None:
        self._kept = {name: each for name, each in self._kept.items() if now < each.until + KEPT_S}
        for name in list(self._kept)[:-KEPT_MAX]:
            del self._kept[name]
