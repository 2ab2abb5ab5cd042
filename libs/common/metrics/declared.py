"""What one metric is: its name, kind, unit and labels, what it means, who exports it, and how it is read. Data alone; it is made elsewhere.

A metric is made from its declaration (`libs.runtime.made_metrics`) and from nothing else, so that the page of metrics, the rules and the dashboards
speak of what is there.
"""

from __future__ import annotations

from typing import Literal

import msgspec

PREFIX = "bulkhead_"
EVERY = ("every service",)
MACHINES = ("every service with a machine",)

Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["", "seconds", "bytes", "ratio", "quote", "base", "timestamp", "events", "info", "state"]
"""`quote` and `base` are amounts of currency, `ratio` is a fraction of 1, `timestamp` is s since 1970 (UTC), `state` a number with a legend, "" a count."""


class Label(msgspec.Struct, frozen=True):
    """A label, what it says, and the values it may have; none: they are open, but few."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. `question` says why it is there although no dashboard and no rule reads it ("": one does)."""

    name: str
    kind: Kind
    unit: Unit
    meaning: str
    labels: tuple[Label, ...]
    by: tuple[str, ...]
    reading: str
    buckets: tuple[float, ...] = ()
    question: str = ""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of its labels, in order."""
        return tuple(label.name for label in self.labels)

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which Prometheus keeps it."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


def counter(
    name: str, meaning: str, *labels: Label, by: tuple[str, ...], reading: str, unit: Unit = "", question: str = ""
) -> Declared:
    """Something that only grows while the process lives; `name` ends in `_total`."""
    return Declared(
        name=f"{PREFIX}{name}",
        kind="counter",
        unit=unit,
        meaning=meaning,
        labels=labels,
        by=by,
        reading=reading,
        question=question,
    )


def gauge(
    name: str, unit: Unit, meaning: str, *labels: Label, by: tuple[str, ...], reading: str, question: str = ""
) -> Declared:
    """Something that goes up and down."""
    return Declared(
        name=f"{PREFIX}{name}",
        kind="gauge",
        unit=unit,
        meaning=meaning,
        labels=labels,
        by=by,
        reading=reading,
        question=question,
    )


def histogram(
    name: str,
    meaning: str,
    *labels: Label,
    by: tuple[str, ...],
    buckets: tuple[float, ...],
    reading: str,
    question: str = "",
) -> Declared:
    """How long things take; seconds in buckets."""
    return Declared(
        name=f"{PREFIX}{name}",
        kind="histogram",
        unit="seconds",
        meaning=meaning,
        labels=labels,
        by=by,
        reading=reading,
        buckets=buckets,
        question=question,
    )


SERVICE = Label("service", "the service that says it")
VENUE = Label("venue", "the venue, like binance")
INSTRUMENT = Label("instrument", "like BTC-USDT")
