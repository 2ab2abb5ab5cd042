"""How the server behaves, one request after another: a script of behaviours.

    POST /sim/script  {"script": [{"do": "rate_limited", "retry_after": "2"}, {"do": "ok", "voice": "opposes"}]}

Each request takes the next behaviour; the last one stays. What a behaviour is about stands in its name; `wait_s` lets any of them be late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

Voice = Literal["agrees", "opposes", "abstains", "echoes", "obedient"]
"""Whom a model that answers is listening to: the rule (for or against), nobody, everybody (it repeats what it reads), or strangers."""

Deed = Literal[
    "ok",
    # it takes its time
    "drip",
    "hang",
    # it refuses, by status
    "rate_limited",
    "quota",
    "error_500",
    "error_502_html",
    "error_503",
    "error_529",
    "unauthorized",
    "forbidden",
    "missing",
    "context_window",
    "policy_refused",
    "too_large",
    # it is somewhere else, or somebody else
    "redirect_302",
    "redirect_307",
    "html",
    "other_object",
    # the wire
    "cut",
    "reset",
    "flood",
    "zipped",
    # it answers, and the answer is none
    "refusal",
    "length",
    "content_filter",
    "no_choices",
    "empty",
    "tool_call",
    "broken_json",
    "prose",
    "fenced",
    "schema",
    "nan",
    "twice",
    "other_case",
    "certain",
    "verbose",
    # it bills oddly
    "no_usage",
    "odd_usage",
]


class ScriptRefused(ValueError):
    """The script is not one; the text says what was wanted."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One behaviour. `retry_after` is the header of a 429 or 503, as it stands there; `to` where a redirect leads; `every_s` the pace of a drip."""

    do: Deed = "ok"
    voice: Voice | None = None
    wait_s: float = 0.0
    retry_after: str = ""
    to: str = ""
    every_s: float = 1.0


class _Posted(msgspec.Struct, forbid_unknown_fields=True):
    script: list[Behaviour]


class Script:
    """What happens next."""

    def __init__(self) -> None:
        self._waiting: deque[Behaviour] = deque()
        self._last = Behaviour()

    def play(self, behaviours: Sequence[Behaviour]) -> None:
        """From now on these, one a request; the last one stays."""
        self._waiting = deque(behaviours)
        self._last = Behaviour()

    def next(self) -> Behaviour:
        """The behaviour of this request."""
        if self._waiting:
            self._last = self._waiting.popleft()
        return self._last


def script_of(body: bytes) -> list[Behaviour]:
    """The behaviours in a request to /sim/script.

    Raises:
        ScriptRefused: it holds none.
    """
    try:
        return msgspec.json.decode(body, type=_Posted).script
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        words = f"do: {', '.join(get_args(Deed))}; voice: {', '.join(get_args(Voice))}"
        raise ScriptRefused(f'wanted {{"script": [{{"do": "ok"}}, ...]}}: {error}; {words}') from None
