"""What the regression watch is told: the figures that live trading is held against."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from libs.common.messages.base import Count, Instant, Message

Metric = Literal["slippage", "stop_slippage", "latency", "return", "hit_rate"]


class MetricBaseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of a book: so many samples, their mean, and their quantiles at 0, 5, ... 100 %.

    Slippages are basis points (> 0: worse for us), `latency` milliseconds, `return` basis points of a round trip's capital net of costs. The mean
    of `hit_rate` is the share of round trips that won, and it has no quantiles. Samples come in runs: `clumping` of them, at least 1, say as much as one
    that hangs together with no other.
    """

    metric: Metric
    count: Count
    mean: float
    clumping: float
    quantiles: Annotated[tuple[float, ...], msgspec.Meta(max_length=21)]


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a book has shown: `source` says in words which, the samples are from between `from_ts` and `until_ts` (ns)."""

    source: Annotated[str, msgspec.Meta(max_length=200)]
    from_ts: Instant
    until_ts: Instant
    metrics: Annotated[tuple[MetricBaseline, ...], msgspec.Meta(max_length=5)]


class BaselineDeclared(Message, frozen=True, kw_only=True, tag="baseline_declared.v1"):
    """From here on the book is held against this baseline; one without metrics ends the watch.

    The samples of a former baseline's watch are forgotten. The one that is in force, said again, changes nothing.
    """

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "baseline_declared"
    is_source: ClassVar[bool] = True

    baseline: Baseline
    author: str
