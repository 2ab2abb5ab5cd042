"""Who takes part in a backtest: the machines of the live system with the settings they would have there, around a paper venue.

The feed is not one of them (its part is played by the history), nor the notifier (nobody is there to be told). What the world answers,
each service says itself, in its `paper.py`. Approvals are signed and checked as ever, by a key that everybody may know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.approval import public_key_hex, sign
from libs.common.messages import Message, OrderApproved
from libs.runtime.backtest import Player, World
from libs.runtime.code_version import code_version
from libs.runtime.plugin import Plugin
from libs.runtime.registry import contract_of, machine_of, module_of
from libs.trading.venue import SpotVenue

CAST = ("agent-trend", "agent-macro", "agent-levels", "agent-llm", "portfolio", "risk-gate", "order-executor", "ledger")
"""The services of a backtest, in the order in which they hear an event."""
EXECUTOR = "order-executor"
GATE = "risk-gate"
_KEY = Ed25519PrivateKey.from_private_bytes(hashlib.blake2b(b"a backtest signs for itself", digest_size=32).digest())
GATE_PUBLIC_KEY = public_key_hex(_KEY)
"""What every executor of a backtest is told to believe."""


def cast(settings: Mapping[str, Any], venue: SpotVenue, plugins: tuple[Plugin, ...] = ()) -> list[Player]:
    """The players for whom there are `settings` (by service), in the order of `CAST`, agents of the user's before those who hear them."""
    players = [
        Player(each.contract, each.machine_class, settings[each.service], code_version=each.version) for each in plugins
    ]
    for service in CAST:
        if service in settings:
            players.append(_player(service, settings[service], venue))
    return players


def world_of(service: str, venue: SpotVenue) -> World | None:
    """Whom `service` asks in a backtest; None if it asks nobody."""
    name = f"{module_of(service)}.paper"
    if find_spec(name) is None:
        return None
    made: World = import_module(name).world(venue)
    return made


def _player(service: str, settings: Any, venue: SpotVenue) -> Player:
    if service == EXECUTOR:
        settings = msgspec.structs.replace(settings, gate_public_key=GATE_PUBLIC_KEY)
    seal = _sealed if service == GATE else None
    machine_class = machine_of(service)
    version = code_version(machine_class.__module__)
    return Player(contract_of(service), machine_class, settings, world_of(service, venue), seal, version)


def _sealed(message: Message) -> Message:
    return sign(_KEY, message) if isinstance(message, OrderApproved) else message
