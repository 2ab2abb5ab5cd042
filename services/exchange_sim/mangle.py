"""Fields of frames: what they are, and a frame with one that is not what it should be."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import UNSET

from services.exchange_sim.faults import SocketFault


def mangled(text: str, fault: SocketFault) -> str | None:
    """The frame after `fault`; None where it has no such field, or not one that can be calculated with."""
    frame = msgspec.json.decode(text)
    path = (fault.field or "").split(".")
    if not any([_changed(root, path, fault) for root in _roots(frame, path[0])]):
        return None
    return msgspec.json.encode(frame).decode()


def is_where(text: str, where: dict[str, Any] | None) -> bool:
    """Whether the fields named in `where` have these values; without any, any frame will do."""
    if not where:
        return True
    frame = msgspec.json.decode(text)
    return all(
        any(_value(root, path.split(".")) == value for root in _roots(frame, path.split(".")[0]))
        for path, value in where.items()
    )


def _value(node: Any, path: list[str]) -> Any:
    for part in path:
        key = _key(node, part)
        if key is None:
            return UNSET
        node = node[key]
    return node


def _roots(frame: Any, first: str) -> list[Any]:
    """Where the path may begin: the frame, or what it wraps in `data` or `event`."""
    if not isinstance(frame, dict) or first in frame or not frame.keys() & {"data", "event"}:
        return [frame]
    inner = frame["data"] if "data" in frame else frame["event"]
    return inner if isinstance(inner, list) and not first.isdecimal() else [inner]


def _changed(node: Any, path: list[str], fault: SocketFault) -> bool:
    for part in path[:-1]:
        key = _key(node, part)
        if key is None:
            return False
        node = node[key]
    key = _key(node, path[-1])
    if key is None:
        return False
    if fault.factor is not None or fault.offset is not None:
        number = _calculated(node[key], fault.factor, fault.offset)
        if number is None:
            return False
        node[key] = number
    elif fault.value is UNSET:
        del node[key]
    else:
        node[key] = fault.value
    return True


def _key(node: Any, part: str) -> Any:
    """The key of `part` in an object or a list that has it."""
    if isinstance(node, dict):
        return part if part in node else None
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return int(part)
    return None


def _calculated(old: Any, factor: float | None, offset: float | None) -> Any:
    """The number in the form it had: a string stays a string with as many decimals, a whole number whole."""
    if isinstance(old, bool):
        return None
    try:
        was = Decimal(str(old))
        new = was * Decimal(str(1 if factor is None else factor)) + Decimal(str(offset or 0))
        if isinstance(old, str):
            return f"{new.quantize(was):f}"
    except InvalidOperation:
        return None
    return int(new) if isinstance(old, int) else float(new)
