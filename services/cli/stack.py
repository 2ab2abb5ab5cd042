"""The native stack as data: where it lives, which ports it takes, which secrets it makes, which processes it runs.

Every port is `BULKHEAD_PORT_BASE` plus a fixed offset, everything written is under `BULKHEAD_HOME`: two stacks with different
values of both do not know of each other.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from pydantic import Field
from pydantic_settings import NoDecode

from libs.runtime.config_file import CONFIG_VARIABLE, read_config
from libs.runtime.profiles import said_by
from libs.runtime.registry import module_of, plugged_in
from libs.runtime.settings import ConfiguredSettings, Listed
from libs.trading.binance_ccxt import PRODUCTION_URL
from services.cli.child import ChildSpec
from services.cli.claiming import is_free
from services.cli.log_file import BYTES_MAX, KEPT, LogBounds
from services.cli.newcomer import DEV_DEFAULTS
from services.cli.restart_policy import RestartLimits
from services.cli.stack_keys import GateKey, ensure_gate_key, ensure_venue_key

RUNNING = (
    "market-feed",
    "agent-trend",
    "portfolio",
    "risk-gate",
    "order-executor",
    "ledger",
    "notifier",
    "agent-macro",
    "agent-levels",
    "agent-llm",
    "gateway",
)
"""The services of the native stack, in the order in which their ports are given out: a new one stands last, so that none moves.
The cli is not one: it is us."""

_NATS, _MONITOR, _SIM, _GATEWAY, _TELEGRAM_BOT, _FIRST_SERVICE = 0, 1, 2, 3, 4, 10
PORT_BASE, CONSOLE_PORT = 4200, 8080
"""Where people look for a console; a second stack on a machine has its own beside its other ports."""
GATEWAY = "gateway"
TELEGRAM_BOT = "telegram-bot"
"""Runs only where it is configured: it costs a hundred megabytes. So it has a port of its own, and moves nobody else's."""
PLUGIN_PROCESS = "libs.runtime.plugin_process"
"""What runs an agent of the user's; the file comes after it."""
AGENTS_EXTRA_MAX = 8
PORTS_TAKEN = _FIRST_SERVICE + len(RUNNING) + AGENTS_EXTRA_MAX


CERTIFICATE_DAYS_MAX = 30


def running() -> tuple[str, ...]:
    """The services of the native stack, and then the agents that were plugged in."""
    return (*RUNNING, *(plugin.service for plugin in plugged_in()))


class StackSettings(ConfiguredSettings):
    """What `bulkhead up` is told. Everything else in the environment goes on to the services."""

    home: Path = Field(default=Path(".bulkhead"), description="the state folder: keys, logs, the log, the books")
    port_base: int = Field(default=PORT_BASE, ge=1024, le=65535 - PORTS_TAKEN, description="the first of its ports")
    book: str = Field(default="main", pattern=r"^[a-z0-9_-]{1,32}$", description="the portfolio this log belongs to")
    mode: Literal["sim", "paper", "live"] = Field(
        default="sim",
        description="sim: a simulated market and its clock; paper: the live market of market_url in wall time, without a key, orders at"
        " the paper venue; live: the same market, orders at the real venue of BULKHEAD_EXEC_VENUE_URL, unlocked by a certificate",
    )
    certificate: Path | None = Field(
        default=None, description="live mode: the certificate of `bulkhead graduate` that unlocks it"
    )
    certificate_days_max: int = Field(
        default=CERTIFICATE_DAYS_MAX,
        ge=1,
        le=90,
        description="live mode: so many days after the paper trading it was judged on, a certificate lets nothing start any more",
    )
    market_url: str = Field(
        default=PRODUCTION_URL,
        pattern=r"^https?://[^@/]+(:[0-9]+)?/?$",
        description="paper and live mode: REST root of the market that is read (and on paper followed): Binance's, with it the others; another"
        " than the default speaks for all venues, with its sockets on the same host",
    )
    backup_folder: Path | None = Field(
        default=None, description="copy the log into this folder, best on another disk, while the stack runs"
    )
    backup_drill_days: int = Field(
        default=0,
        ge=0,
        le=365,
        description="whoever follows the log into a backup brings that backup back and compares it, every so many days; 0: only by hand",
    )
    epoch_mb_max: int = Field(
        default=4096,
        ge=0,
        le=1_000_000,
        description="the log goes on in another epoch when one has become so large (MB); 0: never for that",
    )
    epoch_days_max: int = Field(
        default=31, ge=0, le=3650, description="and when one has become so old (days); 0: never for that"
    )
    backup_before_change: bool = Field(
        default=True,
        description="copy the log before other code than last time goes on with it (into backup_folder, else into the state folder); false: go on without",
    )
    accept_unknown_events: bool = Field(
        default=False,
        description="after a rollback: go on although the log holds events that this code does not know; machines refuse each and decide without it",
    )
    newcomer: bool = Field(
        default=True,
        description="sim mode: something happens within a minute (short bars, wide ages); false: what a deployment does",
    )
    gateway: bool = Field(
        default=True, description="start the API and the console with it; false: the command line alone"
    )
    telegram_token_file: Path | None = Field(default=None, description="a secret file with the token from @BotFather")
    telegram_users: str = Field(
        default="",
        description="whom the bot hears: ids of users with their roles, 123:operate,456:read; nobody else gets an answer",
    )
    restart_loop_crashes: int = Field(default=8, ge=2, le=1000, description="so many crashes in a minute are a loop")
    restart_loop_pause_s: float = Field(default=60.0, ge=1, le=3600, description="how long a looping service pauses")
    log_file_bytes_max: int = Field(
        default=BYTES_MAX,
        ge=65_536,
        le=1_073_741_824,
        description="a file below logs/ that is larger becomes <service>.log.1, and that one .2",
    )
    log_files_kept: int = Field(
        default=KEPT,
        ge=1,
        le=100,
        description="so many older files of each service stand beside the one that is written",
    )

    agents_extra: Annotated[tuple[str, ...], NoDecode, Listed] = Field(
        default=(),
        max_length=AGENTS_EXTRA_MAX,
        description="agents of your own, comma-separated: paths of Python files, or names of entry points in bulkhead.agents",
    )

    @property
    def services(self) -> tuple[str, ...]:
        """The services that this stack runs, with their doors as far as they are wanted."""
        names = tuple(name for name in running() if name != GATEWAY or self.gateway)
        has_bot = self.telegram_token_file is not None and bool(self.telegram_users)
        return (*names, TELEGRAM_BOT) if has_bot else names

    @property
    def is_simulated(self) -> bool:
        """Whether market and clock are the simulated venue's."""
        return self.mode == "sim"

    @property
    def has_own_venue(self) -> bool:
        """Whether orders go to the simulated venue of this stack; else to a real one, which the executor's own settings name."""
        return self.mode != "live"

    @property
    def clock_url(self) -> str:
        """The clock that everybody follows; empty: wall time, the only one that a live market has."""
        return Ports(self.port_base).clock_url if self.is_simulated else ""

    @property
    def feed_url(self) -> str:
        """Where prices come from."""
        return Ports(self.port_base).sim_url if self.is_simulated else self.market_url.rstrip("/")

    @property
    def followed_url(self) -> str:
        """The live market that this stack's own venue follows; empty: it has one of its own, or there is none."""
        return self.feed_url if self.has_own_venue and not self.is_simulated else ""

    @property
    def restart_limits(self) -> RestartLimits:
        """The restart policy of every child."""
        return RestartLimits(loop_crashes=self.restart_loop_crashes, loop_pause_s=self.restart_loop_pause_s)

    @property
    def log_bounds(self) -> LogBounds:
        """How much the logs of each process may take."""
        return LogBounds(bytes_max=self.log_file_bytes_max, kept=self.log_files_kept)


class Ports(msgspec.Struct, frozen=True):
    """Every port of a stack."""

    base: int

    @property
    def nats(self) -> int:
        """Clients of the bus."""
        return self.base + _NATS

    @property
    def monitor(self) -> int:
        """nats-server's own health pages."""
        return self.base + _MONITOR

    @property
    def sim(self) -> int:
        """The simulated venue."""
        return self.base + _SIM

    @property
    def gateway(self) -> int:
        """The API and the console, unless BULKHEAD_GATEWAY_PORT says otherwise."""
        return CONSOLE_PORT if self.base == PORT_BASE else self.base + _GATEWAY

    @property
    def beside_gateway(self) -> int:
        """The same, where somebody else is there already."""
        return self.base + _GATEWAY

    def service(self, name: str) -> int:
        """Health and metrics of one service."""
        if name == TELEGRAM_BOT:
            return self.base + _TELEGRAM_BOT
        return self.base + _FIRST_SERVICE + running().index(name)

    @property
    def nats_url(self) -> str:
        """The bus."""
        return f"nats://127.0.0.1:{self.nats}"

    @property
    def sim_url(self) -> str:
        """The simulated venue's REST root."""
        return f"http://127.0.0.1:{self.sim}"

    @property
    def clock_url(self) -> str:
        """The simulated venue's clock."""
        return f"ws://127.0.0.1:{self.sim}/sim/clock"


# --- children -----------------------------------------------------------------------------------------------------

_SECRET_WORDS = ("SECRET", "KEY", "TOKEN", "PASSWORD", "DATABASE_URL")
_OWN_VARIABLES: dict[str, tuple[str, ...]] = {
    "exchange-sim": ("BULKHEAD_SIM_",),
    "market-feed": ("BULKHEAD_FEED_",),
    "agent-llm": ("BULKHEAD_LLM_",),
    "risk-gate": ("BULKHEAD_RISK_",),
    "order-executor": ("BULKHEAD_EXEC_",),
    "ledger": ("BULKHEAD_LEDGER_", "DATABASE_URL", "BULKHEAD_DATABASE_URL"),
    GATEWAY: ("BULKHEAD_GATEWAY_",),
    "notifier": ("BULKHEAD_NOTIFIER_", "BULKHEAD_NOTIFY_", "BULKHEAD_TELEGRAM_"),
    TELEGRAM_BOT: ("BULKHEAD_TELEGRAM_",),
    "backup": ("DATABASE_URL", "BULKHEAD_DATABASE_URL"),
}
"""Variables that sound like secrets reach only the service they are meant for."""


def passed_on(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The part of our environment that the child `name` may see."""
    own = _OWN_VARIABLES.get(name, ())
    return {
        variable: value
        for variable, value in environment.items()
        if variable.startswith(own) or not any(word in variable.upper() for word in _SECRET_WORDS)
    }


def sim_spec(settings: StackSettings, environment: Mapping[str, str]) -> ChildSpec:
    """The simulated venue."""
    ports, key = Ports(settings.port_base), ensure_venue_key(settings.home)
    special = {
        "BULKHEAD_HOME": str(settings.home.resolve()),
        "BULKHEAD_SIM_PORT": str(ports.sim),
        "BULKHEAD_CLOCK_URL": settings.clock_url,  # its own: what ages mean where it runs
        "BULKHEAD_SIM_FOLLOW_URL": settings.followed_url,
        "BULKHEAD_SIM_API_KEY_FILE": str(key.key.resolve()),
        "BULKHEAD_SIM_API_SECRET_FILE": str(key.secret.resolve()),
    }
    return _spec("exchange-sim", ("services.exchange_sim",), ports.sim, special, environment, {})


def venue_specs(settings: StackSettings, environment: Mapping[str, str]) -> list[ChildSpec]:
    """The venue of this stack; none where orders go to a real one."""
    return [sim_spec(settings, environment)] if settings.has_own_venue else []


def service_specs(
    settings: StackSettings, environment: Mapping[str, str], *, is_newcomers: bool = True
) -> list[ChildSpec]:
    """Every service, with what it must be told on this machine; variables set by hand win over our defaults.

    Not `is_newcomers`: without what only a first minute of trading wants (`DEV_DEFAULTS`).
    """
    ports = Ports(settings.port_base)
    special = _special(settings, ensure_gate_key(settings.home))
    for door, variable in ((GATEWAY, "BULKHEAD_GATEWAY_SERVICES"), (TELEGRAM_BOT, "BULKHEAD_TELEGRAM_SERVICES")):
        pages = (f"{name}=http://127.0.0.1:{ports.service(name)}" for name in settings.services if name != door)
        special[door] = {variable: ",".join(pages)}
    special[GATEWAY]["BULKHEAD_GATEWAY_BUS_MONITOR_URL"] = f"http://127.0.0.1:{ports.monitor}"
    taste = DEV_DEFAULTS if is_newcomers and settings.newcomer and settings.is_simulated else {}
    # on a live market they are told what a deployment would be
    taste = {**taste, GATEWAY: {"BULKHEAD_GATEWAY_PORT": str(console_port(ports))}}
    specs = []
    files = {plugin.service: plugin.path for plugin in plugged_in()}
    for name in settings.services:
        common = {
            "BULKHEAD_HOME": str(settings.home.resolve()),
            "BULKHEAD_NATS_URL": ports.nats_url,
            "BULKHEAD_INSTANCE": "up",
            "BULKHEAD_HTTP_PORT": str(ports.service(name)),
            "BULKHEAD_CLOCK_URL": settings.clock_url,
            "BULKHEAD_SIM_FOLLOW_URL": settings.followed_url,  # so that each can see what kind of venue it has
        }
        env = {**common, **special.get(name, {})}
        command = (PLUGIN_PROCESS, str(files[name])) if name in files else (module_of(name),)
        spec = _spec(name, command, ports.service(name), env, environment, taste.get(name, {}))
        specs.append(msgspec.structs.replace(spec, is_essential=name not in files))
    return specs


def console_port(ports: Ports) -> int:
    """Where the console of a stack that is about to start goes: where people look for one, or beside its other ports if somebody is there already."""
    return ports.gateway if is_free(ports.gateway) else ports.beside_gateway


def _special(settings: StackSettings, gate: GateKey) -> dict[str, dict[str, str]]:
    return {
        "market-feed": {"BULKHEAD_FEED_VENUE_URL": settings.feed_url},
        "risk-gate": {"BULKHEAD_RISK_SIGNING_KEY_FILE": str(gate.file.resolve())},
        "order-executor": {"BULKHEAD_EXEC_GATE_PUBLIC_KEY": gate.public_key, **_own_venue(settings)},
    }


def _own_venue(settings: StackSettings) -> dict[str, str]:
    if not settings.has_own_venue:
        return {}
    key = ensure_venue_key(settings.home)
    return {
        "BULKHEAD_EXEC_VENUE_URL": Ports(settings.port_base).sim_url,
        "BULKHEAD_EXEC_API_KEY_FILE": str(key.key.resolve()),
        "BULKHEAD_EXEC_API_SECRET_FILE": str(key.secret.resolve()),
    }


def _spec(
    name: str,
    command: tuple[str, ...],
    port: int,
    env: dict[str, str],
    environment: Mapping[str, str],
    taste: Mapping[str, str],
) -> ChildSpec:
    config = read_config(environment)
    said = said_by(config, environment)
    ours = {variable: value for variable, value in taste.items() if variable not in said}
    seen = {**ours, **passed_on(name, environment), **env, "PYTHONUNBUFFERED": "1"}
    if config.path is not None:
        seen[CONFIG_VARIABLE] = str(config.path.resolve())
    return ChildSpec(name=name, command=(sys.executable, "-m", *command), env=seen, port=port)
