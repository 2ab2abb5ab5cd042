"""Well-formed nonsense for every machine: absurd numbers, times, names and repeats must never raise.

An exception in a machine ends its process, and the next start meets the same event again: one event that raises is a service that
stays down. So each machine hears long conversations of events that are valid on the wire and make no sense. A seed is the bug report.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import inspect

from libs.common.approval import sign
from libs.common.codec import BadEvent, decode_from, encode
from libs.common.messages import ALL, Answer, Message, OrderApproved, ServiceStarted, TimerFired
from libs.common.subjects import filter_of, may_say, subject_matches, subject_of
from libs.runtime.contract import Contract
from libs.runtime.core import Core, Output
from libs.runtime.registry import SERVICES, contract_of, has_machine, machine_of
from libs.runtime.registry import settings_of as settings_class_of
from services.cli.stack_keys import ensure_secrets
from tests.unit.common.sampling import writer_of
from tests.unit.order_executor.desk import GATE, policy

NOW = 1_767_571_200_000_000_000
SECOND = 1_000_000_000
EVENTS = 60

TEXTS: dict[str, tuple[str, ...]] = {
    "instrument": (*["BTC-USDT"] * 6, "ETH-USDT", "DOGE-USDT", "X", "BTC-", "-", "a" * 64, "BTC-USDT-X"),
    "asset": ("BTC", "USDT", "ETH", "", "x" * 80),
    "timeframe": ("1m", "15m", "1h", "x"),
    "venue": ("binance", "binance", "x", ""),
    "id": ("i1", "i2", "i3", "", "é", "12", "t" * 300, "a" * 32),
}
ANY_TEXT = ("", "x", "some text", "\x00\n", "ü" * 400, "trend", "LIVE")
NUMBERS = (0, 1, NOW, NOW + SECOND, NOW + 900 * SECOND, NOW - 10**15, 60 * SECOND, -(2**63), 2**63 - 1)
FLOATS = (0.0, -0.0, 1.0, 50_000.0, 50_001.5, -1.0, 1e308, -1e308, 5e-324, 1e-300, 0.1, 1e17)
DECIMALS = tuple(
    map(Decimal, ("0", "1", "-1", "0.01", "50000", "49000", "1E+50", "1E-50", "-1E+30", "1E+99", "1E-99", "1" * 40))
)


def absurd(random: Random, name: str, info: Any) -> Any:
    """A value that fits the type, and often nothing else."""
    match info:
        case inspect.LiteralType(values):
            return random.choice(values)
        case inspect.StrType():
            kind = "id" if name.endswith("id") else "asset" if name in ("base", "quote", "commission_asset") else name
            return random.choice(TEXTS.get(kind, ANY_TEXT))
        case inspect.IntType():
            lowest = -(2**63) if info.ge is None else info.ge
            highest = 2**63 - 1 if info.lt is None else info.lt - 1
            return max(lowest, min(highest, random.choice(NUMBERS)))
        case inspect.BoolType():
            return random.random() < 0.5
        case inspect.FloatType():
            return random.choice(FLOATS)
        case inspect.DecimalType():
            return random.choice(DECIMALS)
        case inspect.UnionType(types):
            return absurd(random, name, random.choice(types))
        case inspect.VarTupleType(item):
            return tuple(absurd(random, name, item) for _ in range(random.choice((0, 1, 1, 2, 3))))
        case inspect.DictType(_, value):
            return {
                random.choice(("adx", "x", "")): absurd(random, name, value) for _ in range(random.choice((0, 1, 2)))
            }
        case inspect.StructType(cls):
            return cls(
                **{field.name: absurd(random, field.name, field.type) for field in inspect.type_info(cls).fields}
            )
    return None


def heard(contract: Contract) -> list[tuple[type[Message], str]]:
    """What a service hears, and from whom."""
    pairs = [(kind, writer) for kind in ALL for writer in {contract.writer, writer_of(kind)} if may_say(writer, kind)]
    return [
        (kind, writer)
        for kind, writer in pairs
        if any(subject_matches(wish, filter_of(kind, writer).replace("*", "X")) for wish in contract.filters)
    ]


def event_for(core: Core, random: Random, kind: type[Message], writer: str, number: int) -> Message:
    """One event for this machine: answers mostly answer what was asked, timers are mostly set, ids now and then repeat."""
    fields = {field.name: absurd(random, field.name, field.type) for field in inspect.type_info(kind).fields}
    fields |= {"producer": writer, "id": f"id{number - (random.random() < 0.2)}"}
    fields["ts_init"] = random.choice([NOW + number * SECOND] * 9 + [0, 2**62 - 1])
    if issubclass(kind, Answer) and core.memory.pending and random.random() < 0.8:
        fields["request_id"] = random.choice(list(core.memory.pending))
    if kind is TimerFired and core.memory.timers and random.random() < 0.8:
        fields["name"] = random.choice(list(core.memory.timers))
        fields["due"] = core.memory.timers[fields["name"]]
    message = kind(**fields)
    return sign(GATE, message) if isinstance(message, OrderApproved) and random.random() < 0.9 else message


def machine_settings(service: str, home: Path) -> Any:
    """Settings of a machine as its service would make them."""
    secrets = ensure_secrets(home)
    required = {
        "risk-gate": {"risk_signing_key_file": secrets.gate_key},
        "agent-trend": {"trend_timeframes": ("1m",)},
        "order-executor": {
            "exec_api_key_file": secrets.api_key,
            "exec_api_secret_file": secrets.api_secret,
            "exec_gate_public_key": policy().gate_public_key,
        },
    }
    return settings_class_of(service)(home=home, **required.get(service, {})).machine()


@pytest.mark.no_cover
@pytest.mark.parametrize("service", [name for name in SERVICES if has_machine(name)])
def test_no_well_formed_event_raises(service: str, tmp_path: Path) -> None:
    """Whatever the log says, a machine answers with events that others can read, and with a memory that survives a restart."""
    contract, settings = contract_of(service), machine_settings(service, tmp_path)
    pairs, stepped = heard(contract), 0
    for seed in range(25):
        random, core = Random(f"{service} {seed}"), Core(contract.writer, machine_of(service), settings)
        for number in range(1, EVENTS):
            kind, writer = random.choice(pairs)
            if kind is ServiceStarted:
                continue
            try:
                event = event_for(core, random, kind, writer, number)
                event = decode_from(subject_of(event), encode(event))
            except (BadEvent, ValueError):
                continue  # could not stand in the log
            for result in core.step(number, event):
                if isinstance(result, Output):
                    decode_from(subject_of(result.message), encode(result.message))
            thawed = Core(contract.writer, machine_of(service), settings)
            thawed.restore(core.snapshot())
            assert thawed.digest() == core.digest(), f"{service}, seed {seed}, event {number}: {event}"
            stepped += 1
    assert stepped > 300
