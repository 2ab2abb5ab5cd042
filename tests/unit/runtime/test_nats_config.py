"""Grants, accounts and keys as data: what follows from the contracts before any server reads it."""

from __future__ import annotations

import ssl
import stat
import sys
from pathlib import Path

import pytest

from libs.common.messages import AgentSignals, FeedBars
from libs.runtime import nats_server, registry
from libs.runtime.contract import Contract, Zone
from libs.runtime.nats_config import (
    GUEST_API,
    KeysError,
    ServerSettings,
    accounts,
    api_prefix,
    connect_options,
    ensure_keys,
    grant_of,
    key_file,
    render,
    users_of,
)
from libs.runtime.registry import contract_of, contracts

MODEL = Contract(
    service="agent-plugin", writer="agent.plugin", zone=Zone.MODEL, consumes=(FeedBars,), produces=(AgentSignals,)
)


def test_a_trusted_service_publishes_what_it_says_and_asks_for_its_own_durables() -> None:
    """The ledger, in full: a grant is short enough to be read."""
    assert set(grant_of(contract_of("ledger")).publish) == {
        "ledger.alert",
        "ledger.entry",
        "ledger.equity",
        "ledger.head",
        "ledger.position.*",
        "ledger.projection",
        "ledger.rejected",
        "ledger.started",
        "ledger.stopping",
        "ledger.timer",
        "dead.>",
        "$KV.LEASES.ledger",
        "$JS.API.CONSUMER.MSG.NEXT.*.ledger",
        "$JS.API.CONSUMER.INFO.*.ledger",
        "$JS.API.CONSUMER.RESET.*.ledger",
        "$JS.API.CONSUMER.MSG.NEXT.*.ledger-sql",
        "$JS.API.CONSUMER.INFO.*.ledger-sql",
        "$JS.API.CONSUMER.RESET.*.ledger-sql",
        "$JS.API.STREAM.MSG.GET.*",
        "$JS.API.STREAM.INFO.*",
        "$JS.API.STREAM.NAMES",
    }


def test_a_model_agent_is_a_guest_that_imports_exactly_its_grant(tmp_path: Path) -> None:
    """What it may publish, it imports; what it imports, LOG exports to it alone where it is its own."""
    users = (*contracts(), MODEL)
    made = accounts(users, ensure_keys(tmp_path, users_of(users)))
    imports = [entry.get("to", entry["service"]["subject"]) for entry in made["MODEL_AGENT_PLUGIN"]["imports"]]
    assert tuple(imports) == grant_of(MODEL).publish
    assert api_prefix(MODEL) == GUEST_API
    exports = {export["service"]: export for export in made["LOG"]["exports"] if "service" in export}
    assert exports["agent.plugin.signals"] == {"service": "agent.plugin.signals", "accounts": ["MODEL_AGENT_PLUGIN"]}
    pull = exports["$JS.API.CONSUMER.MSG.NEXT.*.agent-plugin"]
    assert (pull["accounts"], pull["response_type"]) == (["MODEL_AGENT_PLUGIN"], "Stream")
    assert not any("CREATE" in subject or "DELETE" in subject or "PURGE" in subject for subject in exports)


def test_two_guests_never_share_an_account(tmp_path: Path) -> None:
    """Names that fall together are refused before a server is told."""
    twin = Contract(service="AGENT-plugin", writer="agent.twin", zone=Zone.MODEL, consumes=(), produces=())
    with pytest.raises(ValueError, match="AGENT-plugin: two services would share the account MODEL_AGENT_PLUGIN"):
        accounts((MODEL, twin), ensure_keys(tmp_path, users_of((MODEL, twin))))


def test_the_rendered_file_syncs_every_write_and_knows_no_default_user(tmp_path: Path) -> None:
    """And it holds public keys only."""
    users = contracts()
    server = ServerSettings(
        store_dir=tmp_path, port=1, monitor_port=2, tls_cert=Path("cert.pem"), tls_key=Path("key.pem")
    )
    text = render(users, ensure_keys(tmp_path, users_of(users)), server)
    settings = [line.split("#")[0].strip() for line in text.splitlines()]
    assert "sync_interval: always" in settings
    assert 'tls { cert_file: "cert.pem", key_file: "key.pem" }' in settings
    assert not any(line.startswith("no_auth_user") for line in settings)
    assert not any(key_file(tmp_path, user).read_text() in text for user in users_of(users))


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    """A second run finds the same identities."""
    first = ensure_keys(tmp_path, ["a", "b"])
    assert ensure_keys(tmp_path, ["a", "b"]) == first
    assert first["a"] != first["b"]
    assert stat.S_IMODE(key_file(tmp_path, "a").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"nonsense", b"SUAAAA", b"UAAAAAAAA"])
def test_a_spoilt_seed_is_named(tmp_path: Path, content: bytes) -> None:
    """With what to do about it."""
    ensure_keys(tmp_path, ["a"])
    key_file(tmp_path, "a").write_bytes(content)
    with pytest.raises(KeysError, match=r"a\.nk is not an nkey seed; delete it"):
        ensure_keys(tmp_path, ["a"])


def test_a_tls_url_brings_certificates_into_play(tmp_path: Path) -> None:
    """And plain text is what the URL says, never a fallback."""
    ensure_keys(tmp_path, ["a"])
    context = connect_options(tmp_path, "a", "tls://bus:4222")["tls"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert "tls" not in connect_options(tmp_path, "a")


def test_the_server_is_looked_for_beside_python_then_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its absence is told with the cure."""
    assert nats_server.binary().name == "nats-server"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(nats_server.NatsServerError, match="make install"):
        nats_server.binary()
    elsewhere = tmp_path / "nats-server"
    elsewhere.write_text("#!/bin/sh\n")
    elsewhere.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert nats_server.binary() == elsewhere


def test_a_contract_under_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry and the contract must agree on what a service is called."""
    monkeypatch.setitem(registry.SERVICES, "notifier", "services.ledger")
    with pytest.raises(ValueError, match=r"services\.ledger\.contract calls itself 'ledger', registered as 'notifier'"):
        contract_of("notifier")
