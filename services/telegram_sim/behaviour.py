"""How the server behaves: a script of behaviours, each for so many requests.

    POST /sim/script  {"script": [{"do": "rate_limited", "retry_after": 2, "method": "sendMessage"}, {"do": "hang", "times": 0}]}

A request takes the first behaviour that is meant for its method and not used up; without one it is answered as Telegram would. So a bot
that polls beside does not use up what was meant for the message it sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

Deed = Literal[
    "ok",
    # nothing comes back
    "hang",
    "reset",
    "cut",
    "lost",
    # it refuses
    "rate_limited",
    "error_500",
    "error_502_html",
    "unauthorized",
    "not_found",
    "conflict",
    "cannot_parse",
    "chat_not_found",
    "blocked",
    "too_large",
    "migrated",
    # it is somebody else
    "echoes_token",
    "not_json",
    "other_object",
    "redirect",
]
"""`lost`: done, but the connection breaks before the answer; `cut`: done, and half of the answer arrives; `echoes_token`: an error that
repeats the address with the token in it, as proxies do; `migrated`: the group has become a supergroup."""


class ScriptRefused(ValueError):
    """The script is not one; the text says what was wanted."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One behaviour for `times` requests (0: for ever) to `method` ("": any); `wait_s` lets any of them be late.

    `retry_after` (s) belongs to `rate_limited`, `to` is where a redirect leads.
    """

    do: Deed = "ok"
    method: str = ""
    times: int = 1
    wait_s: float = 0.0
    retry_after: int = 1
    to: str = ""


class _Posted(msgspec.Struct, forbid_unknown_fields=True):
    script: list[Behaviour]


class Script:
    """What happens next."""

    def __init__(self) -> None:
        self._waiting: list[Behaviour] = []

    def play(self, behaviours: Sequence[Behaviour]) -> None:
        """From now on these, instead of what was left of the script before."""
        self._waiting = list(behaviours)

    def next(self, method: str) -> Behaviour:
        """The behaviour of this request."""
        for place, each in enumerate(self._waiting):
            if each.method and each.method.lower() != method.lower():
                continue
            if each.times == 1:
                del self._waiting[place]
            elif each.times > 1:
                self._waiting[place] = msgspec.structs.replace(each, times=each.times - 1)
            return each
        return Behaviour()


def script_of(body: bytes) -> list[Behaviour]:
    """The behaviours in a request to /sim/script.

    Raises:
        ScriptRefused: it holds none.
    """
    try:
        return msgspec.json.decode(body, type=_Posted).script
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        words = f"do: {', '.join(get_args(Deed))}"
        raise ScriptRefused(f'wanted {{"script": [{{"do": "ok"}}, ...]}}: {error}; {words}') from None
