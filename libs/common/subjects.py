"""Subjects start with who says it: `<writer>.<suffix>`. Everything else about them follows from the message types."""

from __future__ import annotations

import re

from libs.common.messages.base import Message

TRADING_ROOTS = ("feed", "agent", "portfolio", "risk", "exec", "ledger", "notify", "ops")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELD = re.compile(r"\{(\w+)\}")


def subject_of(message: Message) -> str:
    """The one subject this message may stand on.

    Raises:
        ValueError: a field that stands in the subject is not a plain token (it could name another subject).
    """

    def token(match: re.Match[str]) -> str:
        value = str(getattr(message, match[1]))
        if not TOKEN.fullmatch(value):
            raise ValueError(f"{type(message).__name__}.{match[1]} cannot stand in a subject: {value[:80]!r}")
        return value

    return f"{message.producer}.{_FIELD.sub(token, message.suffix)}"


def filter_of(kind: type[Message], writer: str | None = None) -> str:
    """The subject filter that matches every `kind` said by `writer` (default: by whoever may say it)."""
    return f"{writer or kind.said_by}.{_FIELD.sub('*', kind.suffix)}"


def may_say(writer: str, kind: type[Message]) -> bool:
    """Whether `writer` is among those `kind.said_by` names."""
    if kind.said_by == "*":
        return True
    mine, theirs = writer.split("."), kind.said_by.split(".")
    return len(mine) == len(theirs) and all(b in ("*", a) for a, b in zip(mine, theirs, strict=True))


def writer_filter(writer: str) -> str:
    """Everything under one writer's prefix: the scope of its compare-and-set."""
    return f"{writer}.>"


def subject_matches(subject_filter: str, subject: str) -> bool:
    """NATS subject matching: `*` is one token, a last `>` is one or more."""
    wanted, given = subject_filter.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in ("*", given[index]):
            return False
    return len(wanted) == len(given)
