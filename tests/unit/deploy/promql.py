"""Which metrics an expression names, with which labels: as much of PromQL as our rules and dashboards use."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_SELECTOR = re.compile(r"(?<![A-Za-z0-9_:\"$/.])([a-zA-Z][a-zA-Z0-9_]*(?::[a-z0-9_:]+)?)\s*(\{[^}]*\})?")
_MATCHER = re.compile(r"([a-zA-Z_]+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_OURS = re.compile(r"bulkhead[_:]|process_|up$|ALERTS$")


class Selector(msgspec.Struct, frozen=True):
    """A metric and its matchers: label, operator, value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expr: str) -> Iterator[Selector]:
    """Every metric that an expression reads."""
    for name, matchers in _SELECTOR.findall(_GROUPING.sub(" ", expr)):
        if _OURS.match(name):
            yield Selector(name, tuple(_MATCHER.findall(matchers)))


def grouped(expr: str) -> set[str]:
    """The labels by which an expression groups or joins."""
    return {label.strip() for labels in _GROUPING.findall(expr) for label in labels.split(",") if label.strip()}
