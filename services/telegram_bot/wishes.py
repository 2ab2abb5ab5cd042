"""What somebody wants, read from what he wrote. A closed list: there is no word here that moves money anywhere. Pure."""

from __future__ import annotations

import re
from typing import Literal, get_args

import msgspec

from services.telegram_bot.incoming import Incoming

Question = Literal["status", "positions", "orders", "pnl", "risk", "health", "trace", "alerts", "help"]
Command = Literal["halt", "reduce", "resume", "flatten", "cancel"]
MUTE = "mute"
"""What anybody who is heard may say of his own chat."""
QUESTIONS: tuple[Question, ...] = get_args(Question)
COMMANDS: tuple[Command, ...] = get_args(Command)
MEANINGS: dict[str, str] = {
    "status": "how things stand",
    "positions": "what is held, with its stops",
    "orders": "what rests at the venue",
    "pnl": "what the book has earned, with a chart",
    "risk": "trading state, exposure, room of the limits",
    "health": "services, feed, books",
    "trace": "ID or latest: the story behind it",
    "alerts": "the newest alerts",
    "halt": "REASON: no new entries, resting ones are taken back",
    "reduce": "REASON: only less risk from now on",
    "resume": "[CODE] REASON: trade again",
    "flatten": "[CODE] REASON: sell everything and halt",
    "cancel": "[ORDER] REASON: take back one resting entry, or all",
    "mute": "MINUTES [ticket]: no notes here (nor tickets) for a while; pages come; 0 ends it",
    "help": "this list",
}
"""Every word the bot knows, and what it does."""

DANGEROUS: tuple[Command, ...] = ("resume", "flatten")
"""These want a one-time code beside the confirmation."""
REASON_CHARS_MAX = 200
VIEW, TRACE, ASK, YES, NO = "v:", "t:", "c:", "y:", "n:"
"""How a button's data begins: show, tell the story of, begin a command, confirm, do not."""
_CODE = re.compile(r"[0-9]{6}")
_ORDER = re.compile(r"[0-9a-f]{8,32}")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A question (`argument`: what about) or a command with its reason, `order` (the beginning of an id) and one-time `code`."""

    word: str
    argument: str = ""
    reason: str = ""
    order: str = ""
    code: str = ""

    @property
    def is_command(self) -> bool:
        """Whether it wants something changed."""
        return self.word in COMMANDS


def wish_in(text: str) -> Wish | None:
    """What a message says; None: nothing that is known here."""
    first, rest = (*text.split(maxsplit=1), "", "")[:2]
    if not first.startswith("/"):
        return None
    word = first[1:].partition("@")[0].lower()
    if word == "start":
        return Wish(word="help")
    rest = _line(rest)
    if word in QUESTIONS or word == MUTE:
        return Wish(word=word, argument=rest)
    if word not in COMMANDS:
        return None
    code = order = ""
    head, _, tail = rest.partition(" ")
    if word in DANGEROUS and _CODE.fullmatch(head):
        code, rest = head, tail.strip()
    elif word == "cancel" and _ORDER.fullmatch(head):
        order, rest = head, tail.strip()
    return Wish(word=word, reason=rest[:REASON_CHARS_MAX], order=order, code=code)


def code_in(text: str) -> str:
    """The one-time code that a message consists of; "" if it does not."""
    found = text.strip().replace(" ", "")
    return found if _CODE.fullmatch(found) else ""


def is_halt(update: Incoming) -> bool:
    """Whether it is about halting: the word, or a button that begins or confirms something."""
    if update.kind == "press":
        return update.data.startswith((YES, NO, ASK))
    first = update.text.split(maxsplit=1)[0] if update.text.strip() else ""
    return first.partition("@")[0].lower() == "/halt"


def _line(text: str) -> str:
    """One line of printable text."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
