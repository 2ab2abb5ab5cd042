"""Why there is no opinion: one word for every way in which asking a model can fail.

A failure is told by the status that came back and the words beside it, never by the class of an exception: client libraries change
their minds about classes from one release to the next, servers about statuses do not.
"""

from __future__ import annotations

from typing import Literal

Failure = Literal[
    # nothing left
    "not_configured",
    "breaker_open",
    "budget",
    # the wire
    "connect",
    "timeout",
    "protocol",
    "oversize",
    "redirect",
    # the server said no
    "rate_limited",
    "quota",
    "overloaded",
    "auth",
    "bad_request",
    "context_window",
    "content_policy",
    # the model said nothing that counts
    "truncated",
    "refusal",
    "parse",
    "schema",
    "grounding",
    "canary",
]

LASTING: frozenset[Failure] = frozenset({"auth", "quota", "redirect"})
"""No later attempt will mend these by itself: the route closes at once, and a person has to look."""

OURS: frozenset[Failure] = frozenset({"not_configured", "breaker_open", "budget"})
"""Nobody was asked, so they say nothing about the model."""

_QUOTA = ("insufficient_quota", "exceeded your current quota", "billing", "credit balance", "out of credits")
_CONTEXT = (
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "prompt is too long",
    "too many tokens",
)
_POLICY = ("content_policy", "content policy", "content_filter", "safety system", "content management policy")
_KEY = ("invalid_api_key", "api key not valid", "incorrect api key", "invalid api key", "authentication_error")


def failure_of(status: int, body: bytes) -> Failure:
    """What a status that is no success says, with the body it came with; a success that could not be read is `protocol`."""
    words = body[:4_096].decode("utf-8", "replace").lower()
    if 300 <= status < 400:
        return "redirect"
    if status == 402 or (status == 429 and _has(words, _QUOTA)):
        return "quota"
    if status == 429:
        return "rate_limited"
    if status in (401, 403, 407) or (status == 400 and _has(words, _KEY)):
        return "auth"
    if status in (408, 425) or status >= 500:
        return "overloaded"
    if 400 <= status < 500:
        if _has(words, _CONTEXT):
            return "context_window"
        return "content_policy" if _has(words, _POLICY) else "bad_request"
    return "protocol"


def _has(words: str, telling: tuple[str, ...]) -> bool:
    return any(each in words for each in telling)
