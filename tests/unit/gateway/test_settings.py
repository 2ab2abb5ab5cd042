"""Where the gateway may listen, and what it needs to be told for that."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from libs.runtime.settings import SettingsError, load_settings
from services.gateway.rates import network_of
from services.gateway.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(name)
    return


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    paths[1].chmod(0o600)
    return paths


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_on_this_machine_nothing_more_is_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can listen to what is said there."""
    monkeypatch.setenv("BULKHEAD_GATEWAY_HOST", host)
    assert load_settings(Settings).is_local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.4", "desk.example", "127.0.0.1.evil.example"])
def test_beyond_this_machine_it_wants_tls_or_a_word(host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The refusal names what would do, and both do."""
    monkeypatch.setenv("BULKHEAD_GATEWAY_HOST", host)
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert f"BULKHEAD_GATEWAY_HOST: got '{host}'" in str(caught.value)
    assert "BULKHEAD_GATEWAY_PLAIN_HTTP=true" in str(caught.value)
    with monkeypatch.context() as patch:
        patch.setenv("BULKHEAD_GATEWAY_PLAIN_HTTP", "true")
        assert not load_settings(Settings).speaks_tls
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("BULKHEAD_GATEWAY_TLS_CERT_FILE", str(cert))
    with pytest.raises(SettingsError, match="want both, or neither"):
        load_settings(Settings)
    monkeypatch.setenv("BULKHEAD_GATEWAY_TLS_KEY_FILE", str(key))
    assert load_settings(Settings).speaks_tls
    key.chmod(0o644)
    with pytest.raises(SettingsError, match="can be read by others"):
        load_settings(Settings)


def test_health_pages_are_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and a root each."""
    monkeypatch.setenv("BULKHEAD_GATEWAY_SERVICES", "ledger=http://127.0.0.1:1,risk-gate=https://gate:4")
    assert load_settings(Settings).health_pages == {"ledger": "http://127.0.0.1:1", "risk-gate": "https://gate:4"}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.4", "10.0.0.4"),
        ("::ffff:10.0.0.4", "10.0.0.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("nonsense", "unknown"),
    ],
)
def test_who_has_a_network_has_one_budget(address: str, network: str) -> None:
    """An IPv6 host can choose among 2^64 addresses."""
    assert network_of(address) == network
