"""One filled-in sample of any message type, made from its fields: for golden files and for properties over all types.

`python -m tests.unit.common.sampling` writes the golden sample of every type that has none. It never changes one that exists: a
type whose sample no longer holds needs a new version, not a new sample.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from libs.common.codec import encode
from libs.common.messages import ALL, Message

GOLDEN = Path(__file__).parent / "golden"
T0 = 1_753_142_400_000_000_000

_BY_NAME: dict[str, Any] = {
    "id": "5f0c3f6a9d0e4c2ab1d2e3f405162738",
    "correlation_id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "causation_id": "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "intent_id": "11112222333344445555666677778888",
    "cl_ord_id": "aaaabbbbccccddddeeeeffff00001111",
    "request_id": "ffffeeeeddddccccbbbbaaaa99998888",
    "instrument": "BTC-USDT",
    "venue": "binance",
    "timeframe": "15m",
    "base": "BTC",
    "quote": "USDT",
    "asset": "USDT",
    "commission_asset": "USDT",
    "done_in_seq": 41,
    "done_out_index": 2,
    "rejected_seq": 40,
    "uses": 3,
    "number": 7,
    "paper_days": 15,
    "count": 212,
    "last_seq": 1095,
    "took_ms": 2200,
    "origin": "c55623d60d2374d198677bcf484f42c6312bab9d1c4d99f5e0df10aa5cac873e",
    "head": "cbeff42d44f334a612c09ef54c3770f786dae6f688aa2adeedb0c2e96f5900d6",
    "text": 'Grüße "✓" \\ 1 < 2 & 3\n',
}


def tag_of(kind: type[Message]) -> str:
    """The type's name on the wire, with its version."""
    return str(kind.__struct_config__.tag)


def writer_of(kind: type[Message]) -> str:
    """A writer that may say `kind`."""
    return {"*": "risk", "agent.*": "agent.trend", "ops.*": "ops.cli"}.get(kind.said_by, kind.said_by)


def sample_of(kind: type[Message]) -> Message:
    """A message of `kind` with every field set."""
    fields = _fields(inspect.type_info(kind))
    return kind(**{**fields, "producer": writer_of(kind)})


def golden_path(tag: str) -> Path:
    """Where the sample of a type and version lies."""
    return GOLDEN / f"{tag}.json"


def _fields(info: Any) -> dict[str, Any]:
    return {field.name: _value(field.name, field.type) for field in info.fields}


def _value(name: str, info: Any) -> Any:
    match info:
        case inspect.LiteralType(values):
            return _BY_NAME[name] if _BY_NAME.get(name) in values else max(values)  # never the empty one
        case inspect.StrType():
            return _BY_NAME.get(name, f"some {name}")
        case inspect.IntType():
            return _BY_NAME.get(name, T0)
        case inspect.BoolType():
            return True
        case inspect.FloatType():
            return 64123.45
        case inspect.DecimalType():
            return Decimal("0.00123000")
        case inspect.UnionType(types):
            return next(_value(name, each) for each in types if not isinstance(each, inspect.NoneType))
        case inspect.VarTupleType(item):
            return (_value(name, item),) if not isinstance(item, inspect.StrType) else ("BTC-USDT", "ETH-USDT")
        case inspect.DictType(_, value):
            return {"adx": _value(name, value), "limit": _value(name, value)}
        case inspect.AnyType():
            return {"list": [1, 2.5, None, True], "text": "x"}
        case inspect.StructType(cls):
            return cls(**_fields(inspect.type_info(cls)))
    raise TypeError(f"no sample for {name}: {info}; teach `_value` about it")


def write_missing() -> list[Path]:
    """Write the golden samples that are missing; returns their paths."""
    GOLDEN.mkdir(exist_ok=True)
    written = []
    for kind in ALL:
        path = golden_path(tag_of(kind))
        if not path.exists():
            path.write_bytes(encode(sample_of(kind)) + b"\n")
            written.append(path)
    return written


def without(message: Message, field: str) -> bytes:
    """The message's bytes with one field left out."""
    fields = msgspec.json.decode(encode(message))
    del fields[field]
    return msgspec.json.encode(fields)


if __name__ == "__main__":
    for path in write_missing():
        print(path)
