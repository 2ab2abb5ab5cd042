"""What the operators' doors say of their own callers."""

from __future__ import annotations

from libs.common.metrics.declared import SERVICE, Label, counter, histogram

_HTTP = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_GATEWAY, _BOT = ("gateway",), ("telegram-bot",)
_ROUTE = Label("route", "the route's pattern, or `elsewhere`")

HTTP_REQUESTS = counter(
    "http_requests_total",
    "requests answered",
    SERVICE,
    _ROUTE,
    Label("status", "the status"),
    by=_GATEWAY,
    reading="`rate()` by `status`",
)
HTTP_SECONDS = histogram(
    "http_seconds",
    "time from a request to its answer's first byte",
    SERVICE,
    _ROUTE,
    by=_GATEWAY,
    buckets=_HTTP,
    reading="`histogram_quantile(0.99, ...)`",
)
ACCESS_REFUSED = counter(
    "access_refused_total",
    "requests turned away",
    SERVICE,
    Label("door", "where", ("api", "console", "webhook", "telegram")),
    Label("why", "why, a slug"),
    by=("gateway", "telegram-bot"),
    reading="`rate()` by `why`; BAD_TOKEN is somebody who guesses",
)
TELEGRAM_REQUESTS = counter(
    "telegram_requests_total",
    "what was asked of Telegram",
    SERVICE,
    Label("method", "the Bot API's method"),
    Label("outcome", "what came of it, a slug"),
    by=_BOT,
    reading="anything but OK for long: the bot does not hear or does not answer",
    question="why does the bot not answer?",
)
TELEGRAM_HEARD = counter(
    "telegram_heard_total",
    "what people have said and was heard",
    SERVICE,
    Label("word", "one of the bot's words"),
    by=_BOT,
    reading="who uses the bot for what",
    question="does anybody use the bot?",
)
TELEGRAM_TOKEN_READS = counter(
    "telegram_token_reads_total",
    "the token's file was read again",
    SERVICE,
    by=_BOT,
    reading="one for each rotation",
    question="has the bot taken the new token?",
)
TELEGRAM_UNSENT = counter(
    "telegram_unsent_total",
    "answers that did not leave",
    SERVICE,
    by=_BOT,
    reading="above 0: somebody waited for an answer",
    question="did an answer of the bot get lost?",
)
