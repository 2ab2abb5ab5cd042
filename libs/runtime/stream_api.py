"""Asking the JetStream API about streams and consumers, and holding what it says against what this code wants."""

from __future__ import annotations

import json
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

API_TIMEOUT_S = 10.0
NOT_FOUND = 404


class ProvisionError(Exception):
    """The bus is not what this code needs; the text names the server, stream or consumer, the field, wish and finding."""


# --- comparing --------------------------------------------------------------------------------------------------


def must_equal(where: str, wanted: dict[str, Any], answer: dict[str, Any]) -> None:
    """Return if a stream or consumer is configured as wanted.

    Raises:
        ProvisionError: it is not; every field that differs is named.
    """
    differences = differences_of(where, wanted, answer)
    if differences:
        raise ProvisionError(
            "\n".join(differences) + "\nthe bus is configured otherwise than this code needs; nothing was changed"
        )


def differences_of(where: str, wanted: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    """One line for each field in which the configuration in `answer` differs from the one that is wanted."""
    if "error" in answer:
        return [f"{where}: {answer['error'].get('description', 'no answer')}"]
    found = config_of(where, answer)
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


def config_of(where: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The configuration in the server's answer."""
    config = answer.get("config")
    if not isinstance(config, dict):
        raise ProvisionError(f"{where}: the server's answer holds no configuration")
    return config


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)[:200]


# --- asking -----------------------------------------------------------------------------------------------------


async def ask(client: Client, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
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


def is_missing(answer: dict[str, Any]) -> bool:
    """Whether what was asked for does not exist.

    Raises:
        ProvisionError: the server refused for another reason.
    """
    if "error" not in answer:
        return False
    if answer["error"].get("code") == NOT_FOUND:
        return True
    raise ProvisionError(f"the bus refused: {answer['error'].get('description')}")


def must(what: str, answer: dict[str, Any]) -> None:
    """Return if the server did it.

    Raises:
        ProvisionError: it did not; `what` it should have done is named.
    """
    if "error" in answer:
        error = answer["error"]
        raise ProvisionError(f"could not {what}: {error.get('description')} (error {error.get('err_code')})")
