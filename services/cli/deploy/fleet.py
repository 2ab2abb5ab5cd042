"""Who runs in a deployment, and with what: the one table that docker-compose.yml, the chart, the images and the secrets are held against.

A process finds its state at `/state` and its secrets, each a file of its own, at `/state/keys`; it is told the rest by variables. Nobody mounts a secret that
is not its own. Where two of them wear one image kind, they have the same dependencies (`requirements/images/<kind>.lock`), not the same image.
"""

from __future__ import annotations

import msgspec

from libs.runtime.contract import Contract, Zone
from libs.runtime.registry import SERVICES, contract_of

STATE, KEYS = "/state", "/state/keys"
HTTP_PORT = 9100
"""`/livez`, `/readyz` and `/metrics`, of every service alike."""
SIM_PORT, GATEWAY_PORT, NATS_PORT, MONITOR_PORT, POSTGRES_PORT = 4202, 8080, 4222, 8222, 5432
VENUE = "exchange-sim"
CLI = "cli"
BACKUP = "backup"
"""A command line that follows the log into a copy, and brings that copy back every so many days."""
DRILL_DAYS = 7
STOP_GRACE_S = 30
"""How long a container may take to stop: three times what a service takes at worst, without its bus (ten seconds)."""

NATS_CA, NATS_CERT, NATS_KEY, NATS_CONF = "nats-ca.pem", "nats-server.pem", "nats-server.key", "nats-server.conf"
DATABASE_CA, DATABASE_CERT, DATABASE_KEY = "postgres-ca.pem", "postgres-server.pem", "postgres-server.key"
DATABASE_URL, OWNER_URL = "database-url", "database-owner-url"
OWNER_PASSWORD = "database-owner-password"  # noqa: S105  a file's name
WATCHER_LOGIN, WATCHER_PASSWORD = "watcher_login", "database-watcher-password"
"""As whom Postgres' exporter comes in: it sees what the database counts (pg_monitor), and no table."""
GRAFANA_PASSWORD = "grafana-admin-password"  # noqa: S105  a file's name
GATE_KEY, GATE_PUBLIC = "gate-signing.pem", "gate-public.hex"
VENUE_KEY, VENUE_SECRET = "venue-api-key", "venue-api-secret"
GATEWAY_CERT, GATEWAY_KEY = "gateway.pem", "gateway.key"
API_TOKENS = "/state/tokens/api-tokens.json"
"""A folder of its own, because it changes while the gateway runs: a file that is mounted alone is the one of the start for ever."""

IMAGE_KINDS: dict[str, str] = {
    "agent-trend": "machine",
    "agent-macro": "machine",
    "agent-levels": "machine",
    "portfolio": "machine",
    "risk-gate": "gate",
    "agent-llm": "model",
    "market-feed": "feed",
    "order-executor": "executor",
    "ledger": "ledger",
    "notifier": "people",
    "telegram-bot": "people",
    "gateway": "gateway",
    VENUE: "venue",
    CLI: "cli",
}
"""Which dependencies each image holds."""

FORBIDDEN: dict[str, tuple[str, ...]] = {
    "order-executor": ("litellm", "openai", "fastapi", "starlette", "uvicorn", "aiogram", "sqlalchemy", "typer"),
    "risk-gate": ("litellm", "openai", "fastapi", "starlette", "uvicorn", "aiogram", "sqlalchemy", "ccxt"),
    "agent-llm": ("ccxt", "cryptography", "fastapi", "sqlalchemy", "aiogram"),
    "gateway": ("ccxt", "litellm", "openai", "aiogram", "psycopg"),
}
"""What an image must never hold, whatever its lock comes to say: who holds the venue's key parses no model's answers and serves no web pages."""


WATCHERS: dict[str, tuple[str, ...]] = {
    "prometheus": (),
    "alertmanager": (),
    "loki": (),
    "alloy": (),
    "tempo": (),
    "grafana": (GRAFANA_PASSWORD,),
    "nats-exporter": (),
    "postgres-exporter": (WATCHER_PASSWORD, DATABASE_CA),
}
"""Who watches a deployment, each with the files of `keys/` that it holds: none of them is a key of anybody who is watched."""
TRACES_URL = "http://tempo:4318"
"""Where services send their traces to; it is in the network of every zone, as Prometheus is."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a deployment. `service` names its image, its container and its host; `keys` are the files it finds in `/state/keys`."""

    service: str
    module: str
    kind: str
    zone: Zone
    keys: tuple[str, ...]
    environment: dict[str, str]
    is_lone: bool = False
    """Whether a second one beside it is refused, even for the moment of an update: who holds the venue's keys."""
    wants_database: bool = False
    is_optional: bool = False
    """Whether it runs only where it is configured."""


_OWN_KEYS: dict[str, tuple[str, ...]] = {
    "risk-gate": (GATE_KEY,),
    "order-executor": (GATE_PUBLIC, VENUE_KEY, VENUE_SECRET),
    "ledger": (DATABASE_URL, DATABASE_CA),
    "gateway": (GATEWAY_CERT, GATEWAY_KEY),
}
_OWN_VARIABLES: dict[str, dict[str, str]] = {
    "market-feed": {"BULKHEAD_FEED_VENUE_URL": f"http://{VENUE}:{SIM_PORT}"},
    "risk-gate": {"BULKHEAD_RISK_SIGNING_KEY_FILE": f"{KEYS}/{GATE_KEY}"},
    "order-executor": {
        "BULKHEAD_EXEC_GATE_PUBLIC_KEY_FILE": f"{KEYS}/{GATE_PUBLIC}",
        "BULKHEAD_EXEC_VENUE_URL": f"http://{VENUE}:{SIM_PORT}",
        "BULKHEAD_EXEC_API_KEY_FILE": f"{KEYS}/{VENUE_KEY}",
        "BULKHEAD_EXEC_API_SECRET_FILE": f"{KEYS}/{VENUE_SECRET}",
    },
    "ledger": {"BULKHEAD_DATABASE_URL_FILE": f"{KEYS}/{DATABASE_URL}"},
    "gateway": {
        "BULKHEAD_GATEWAY_HOST": "0.0.0.0",  # noqa: S104  # nosec B104  # in its own network namespace, with TLS
        "BULKHEAD_GATEWAY_PORT": str(GATEWAY_PORT),
        "BULKHEAD_GATEWAY_TLS_CERT_FILE": f"{KEYS}/{GATEWAY_CERT}",
        "BULKHEAD_GATEWAY_TLS_KEY_FILE": f"{KEYS}/{GATEWAY_KEY}",
        "BULKHEAD_GATEWAY_TOKEN_FILE": API_TOKENS,
        "BULKHEAD_GATEWAY_BUS_MONITOR_URL": f"http://nats:{MONITOR_PORT}",
    },
}


def common_variables() -> dict[str, str]:
    """What every service that speaks to the bus is told."""
    return {
        "BULKHEAD_HOME": STATE,
        "BULKHEAD_NATS_URL": f"tls://nats:{NATS_PORT}",
        "BULKHEAD_HTTP_HOST": "0.0.0.0",  # noqa: S104  # nosec B104  # in its own network namespace
        "BULKHEAD_HTTP_PORT": str(HTTP_PORT),
        "BULKHEAD_CLOCK_URL": f"ws://{VENUE}:{SIM_PORT}/sim/clock",
    }


def members() -> tuple[Member, ...]:
    """Everybody who speaks to the bus, in the order in which they are registered; the command line and the simulated venue are not among them."""
    return tuple(_member(contract_of(name)) for name in SERVICES if name != CLI)


def member(service: str) -> Member:
    """One of them.

    Raises:
        KeyError: nobody is called so.
    """
    found = next((each for each in members() if each.service == service), None)
    if found is None:
        raise KeyError(
            f"no service {service!r} runs in a deployment; there are {', '.join(each.service for each in members())}"
        )
    return found


def _member(contract: Contract) -> Member:
    name = contract.service
    return Member(
        service=name,
        module=SERVICES[name],
        kind=IMAGE_KINDS[name],
        zone=contract.zone,
        keys=(f"{name}.nk", NATS_CA, *_OWN_KEYS.get(name, ())),
        environment={**common_variables(), **_OWN_VARIABLES.get(name, {})},
        is_lone=name == "order-executor",
        wants_database=name == "ledger",
        is_optional=name == "telegram-bot",
    )
