"""The native stack as data: ports, secrets, children, and the claim on a folder."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import ValidationError

from libs.runtime.nats_config import KeysError
from services.cli.child import ChildRefused
from services.cli.child_settings import refuse_bad_settings, venue_url_of
from services.cli.claiming import check_ports, home_lock
from services.cli.stack import (
    RUNNING,
    Ports,
    StackSettings,
    console_port,
    passed_on,
    service_specs,
    sim_spec,
    venue_specs,
)
from services.cli.stack_keys import StackError, ensure_secrets


def test_every_port_of_a_stack_is_its_own() -> None:
    """Two stacks a hundred ports apart never meet."""
    ports = Ports(4200)
    taken = [ports.nats, ports.monitor, ports.sim, *(ports.service(name) for name in RUNNING)]
    assert len(set(taken)) == len(taken)
    assert all(4200 <= port < 4300 for port in taken)
    assert ports.clock_url == "ws://127.0.0.1:4202/sim/clock"
    assert (ports.gateway, Ports(5200).gateway) == (8080, 5203)


def test_the_first_run_makes_secrets_that_only_their_owner_can_read(tmp_path: Path) -> None:
    """And the second run keeps them."""
    made = ensure_secrets(tmp_path)
    for path in (made.api_key, made.api_secret, made.gate_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.gate_key.parent.stat().st_mode) == 0o700
    assert made.api_key.read_text() != made.api_secret.read_text()
    public = load_pem_private_key(made.gate_key.read_bytes(), None).public_key().public_bytes_raw()
    assert bytes.fromhex(made.gate_public_key) == public
    assert ensure_secrets(tmp_path) == made


def test_a_secret_others_can_read_is_refused(tmp_path: Path) -> None:
    """It may have been read already."""
    ensure_secrets(tmp_path).api_secret.chmod(0o640)
    with pytest.raises(KeysError, match=r"venue-api-secret is readable by others"):
        ensure_secrets(tmp_path)


def test_a_spoilt_signing_key_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    made = ensure_secrets(tmp_path)
    made.gate_key.write_text("nonsense")
    with pytest.raises(StackError, match=r"gate-signing\.pem is not a private key; delete it"):
        ensure_secrets(tmp_path)


def test_a_secret_variable_reaches_only_whom_it_is_for() -> None:
    """Everything else is passed on as it is."""
    environment = {
        "PATH": "/bin",
        "BULKHEAD_LOG_LEVEL": "debug",
        "BULKHEAD_INSTRUMENTS": "BTC-USDT",
        "BULKHEAD_EXEC_API_KEY_FILE": "/k",
        "DATABASE_URL": "postgresql://u:p@h/d",
        "BULKHEAD_TELEGRAM_TOKEN_FILE": "/t",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    plain = {"PATH": "/bin", "BULKHEAD_LOG_LEVEL": "debug", "BULKHEAD_INSTRUMENTS": "BTC-USDT"}
    assert passed_on("notifier", environment) == {**plain, "BULKHEAD_TELEGRAM_TOKEN_FILE": "/t"}
    assert passed_on("ledger", environment) == {**plain, "DATABASE_URL": environment["DATABASE_URL"]}
    assert passed_on("order-executor", environment) == {**plain, "BULKHEAD_EXEC_API_KEY_FILE": "/k"}


def test_the_bot_runs_where_it_is_configured(tmp_path: Path) -> None:
    """It wants a token and somebody to hear; then it is the last, has a port that moves nobody, and its token's place is told to it alone."""
    where = {"home": tmp_path, "port_base": 5200}
    token = {"BULKHEAD_TELEGRAM_TOKEN_FILE": "/t"}
    for half in ({"telegram_token_file": "/t"}, {"telegram_users": "1:read"}):
        specs = service_specs(StackSettings(**where, **half), {"PATH": "/bin", **token})
        assert tuple(spec.name for spec in specs) == RUNNING
    settings = StackSettings(**where, telegram_token_file="/t", telegram_users="1:read")
    specs = {spec.name: spec for spec in service_specs(settings, {"PATH": "/bin", **token})}
    assert tuple(specs) == (*RUNNING, "telegram-bot")
    assert specs["telegram-bot"].port == 5204
    holders = {name for name, spec in specs.items() if "BULKHEAD_TELEGRAM_TOKEN_FILE" in spec.env}
    assert {"telegram-bot"} <= holders <= {"telegram-bot", "notifier"}
    assert "gateway=http://127.0.0.1:" in specs["telegram-bot"].env["BULKHEAD_TELEGRAM_SERVICES"]
    assert "telegram-bot=http://127.0.0.1:5204" in specs["gateway"].env["BULKHEAD_GATEWAY_SERVICES"]


def test_each_child_is_told_where_everything_is(tmp_path: Path) -> None:
    """Only the gate sees the signing key, only the executor and the venue see the API key."""
    settings = StackSettings(home=tmp_path, port_base=5200)
    specs = {spec.name: spec for spec in service_specs(settings, {"PATH": "/bin"})}
    assert tuple(specs) == RUNNING
    for spec in specs.values():
        assert spec.env["BULKHEAD_HOME"] == str(tmp_path)
        assert spec.env["BULKHEAD_NATS_URL"] == "nats://127.0.0.1:5200"
        assert spec.env["BULKHEAD_HTTP_PORT"] == str(spec.port)
        assert spec.command[1] == "-m"
    holders = {name for name, spec in specs.items() if any("SIGNING_KEY" in each for each in spec.env)}
    assert holders == {"risk-gate"}
    holders = {name for name, spec in specs.items() if any("API_SECRET" in each for each in spec.env)}
    assert holders == {"order-executor"}
    gateway = specs["gateway"].env
    assert gateway["BULKHEAD_GATEWAY_PORT"] == "5203"
    assert "gateway=" not in gateway["BULKHEAD_GATEWAY_SERVICES"]
    assert gateway["BULKHEAD_GATEWAY_SERVICES"].count("=http://127.0.0.1:52") == len(RUNNING) - 1
    told = {spec.name: spec.env for spec in service_specs(settings, {"BULKHEAD_GATEWAY_PORT": "9999"})}
    assert told["gateway"]["BULKHEAD_GATEWAY_PORT"] == "9999"
    venue = sim_spec(settings, {})
    assert venue.port == 5202
    assert venue.env["BULKHEAD_SIM_PORT"] == "5202"


def test_what_the_operator_sets_wins_over_what_is_only_our_taste(tmp_path: Path) -> None:
    """A newcomer's stack signals on 1m bars that longer ones confirm, unless told otherwise."""
    settings = StackSettings(home=tmp_path)
    ours = {spec.name: spec.env for spec in service_specs(settings, {})}
    assert ours["agent-trend"]["BULKHEAD_TREND_TIMEFRAMES"] == "1m,15m"
    theirs = {spec.name: spec.env for spec in service_specs(settings, {"BULKHEAD_TREND_TIMEFRAMES": "1h"})}
    assert theirs["agent-trend"]["BULKHEAD_TREND_TIMEFRAMES"] == "1h"


def test_on_paper_everybody_lives_in_wall_time_on_the_live_market(tmp_path: Path) -> None:
    """The feed reads it, the paper venue follows it, orders go to the paper venue, and nobody is told a newcomer's limits."""
    settings = StackSettings(home=tmp_path, port_base=5200, mode="paper")
    specs = {spec.name: spec.env for spec in [sim_spec(settings, {}), *service_specs(settings, {})]}
    assert specs["market-feed"]["BULKHEAD_FEED_VENUE_URL"] == "https://api.binance.com"
    assert specs["order-executor"]["BULKHEAD_EXEC_VENUE_URL"] == "http://127.0.0.1:5202"
    assert {env["BULKHEAD_SIM_FOLLOW_URL"] for env in specs.values()} == {"https://api.binance.com"}
    assert {env["BULKHEAD_CLOCK_URL"] for env in specs.values()} == {""}
    assert "BULKHEAD_TREND_TIMEFRAMES" not in specs["agent-trend"]
    simulated = {spec.env["BULKHEAD_SIM_FOLLOW_URL"] for spec in service_specs(StackSettings(home=tmp_path), {})}
    assert simulated == {""}


def test_on_paper_the_settings_of_all_go_together(tmp_path: Path) -> None:
    """By default nothing is refused or questioned; time that runs faster than the market is."""
    settings = StackSettings(home=tmp_path, mode="paper")
    assert refuse_bad_settings([sim_spec(settings, {}), *service_specs(settings, {})]) == []
    fast = {"BULKHEAD_SIM_SPEED": "20"}
    with pytest.raises(ChildRefused, match="a followed market lives in wall time"):
        refuse_bad_settings([sim_spec(settings, fast), *service_specs(settings, fast)])


def test_a_home_belongs_to_one_supervisor(tmp_path: Path) -> None:
    """The second one is told who holds it, and how to run beside it."""
    home, refusal = tmp_path / "home", rf"supervisor \(pid {os.getpid()}\).*BULKHEAD_HOME"
    with home_lock(home), pytest.raises(StackError, match=refusal), home_lock(home):
        pass
    with home_lock(home):
        pass


def test_taken_ports_are_all_named() -> None:
    """Before anything was started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} \(nats-server\).*BULKHEAD_PORT_BASE"):
            check_ports({"nats-server": port, "unused": 0})
    check_ports({"nats-server": port})


def test_a_port_base_that_leaves_no_room_is_refused() -> None:
    """Every port must exist."""
    with pytest.raises(ValidationError):
        StackSettings(port_base=65530)


def test_live_nobody_of_ours_stands_between_the_executor_and_its_venue(tmp_path: Path) -> None:
    """Wall time, the market of market_url, no venue of our own and no key for one: where orders go is the executor's own settings."""
    settings = StackSettings(home=tmp_path, port_base=5200, mode="live")
    told = {"BULKHEAD_EXEC_VENUE_URL": "https://venue.example", "BULKHEAD_EXEC_API_KEY_FILE": "/k"}
    specs = {spec.name: spec.env for spec in service_specs(settings, told)}
    assert venue_specs(settings, told) == []
    assert {name: specs["order-executor"][name] for name in told} == told
    assert "BULKHEAD_EXEC_API_SECRET_FILE" not in specs["order-executor"]
    assert specs["market-feed"]["BULKHEAD_FEED_VENUE_URL"] == "https://api.binance.com"
    assert {env["BULKHEAD_CLOCK_URL"] + env["BULKHEAD_SIM_FOLLOW_URL"] for env in specs.values()} == {""}
    assert "BULKHEAD_TREND_TIMEFRAMES" not in specs["agent-trend"]
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["gate-signing.pem"]


def test_a_venue_that_is_simulated_and_a_market_that_is_real_do_not_go_together_live(tmp_path: Path) -> None:
    """Prices of one world would move orders in another."""
    for name in ("key", "secret"):
        (tmp_path / name).write_text("a" * 63 + name[0])
        (tmp_path / name).chmod(0o600)
    told = {
        "BULKHEAD_EXEC_VENUE_URL": "http://127.0.0.1:4202",
        "BULKHEAD_EXEC_API_KEY_FILE": str(tmp_path / "key"),
        "BULKHEAD_EXEC_API_SECRET_FILE": str(tmp_path / "secret"),
    }
    settings = StackSettings(home=tmp_path / "home", mode="live")
    with pytest.raises(ChildRefused, match="both real"):
        refuse_bad_settings(service_specs(settings, told))
    told["BULKHEAD_EXEC_VENUE_URL"] = "https://api.binance.com"
    assert refuse_bad_settings(service_specs(settings, told)) == []
    assert venue_url_of(service_specs(settings, told)) == "https://api.binance.com"


def test_a_console_goes_beside_the_other_ports_where_somebody_has_its_own() -> None:
    """Port 8080 is everybody's: that it is taken must not keep a newcomer from starting."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]

        class Usual(Ports, frozen=True):
            @property
            def gateway(self) -> int:
                return taken

        assert console_port(Usual(5_000)) == 5_003
    assert console_port(Usual(5_000)) == taken
