"""What the executor accepts from outside, and what it refuses to start with."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from libs.runtime.settings import SettingsError, load_settings
from services.order_executor.adapters.ccxt_venue import CcxtVenue
from services.order_executor.adapters.kucoin_venue import KucoinVenue
from services.order_executor.adapters.venues import venue_of
from services.order_executor.machine import OrderExecutorMachine
from services.order_executor.settings import Settings
from tests.unit.order_executor.desk import policy

KEY = policy().gate_public_key


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete environment; the folder holds the two secret files."""
    for name, secret in (("key", "k" * 64), ("secret", "s" * 64)):
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("BULKHEAD_EXEC_GATE_PUBLIC_KEY", KEY)
    monkeypatch.setenv("BULKHEAD_EXEC_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("BULKHEAD_EXEC_API_SECRET_FILE", str(tmp_path / "secret"))
    return tmp_path


def test_defaults_make_a_machine_and_the_venues_keys_come_from_files(environment):
    """Defaults make a machine and the venue's keys come from files."""
    settings = load_settings(Settings)
    made = settings.machine()
    assert isinstance(made, OrderExecutorMachine.Settings)
    assert (made.gate_public_key, made.instruments, made.venue) == (KEY, ("BTC-USDT", "ETH-USDT"), "binance")
    assert settings.credentials() == ("k" * 64, "s" * 64)


def test_what_is_set_reaches_the_machine(environment, monkeypatch):
    """What is set reaches the machine."""
    monkeypatch.setenv("BULKHEAD_INSTRUMENTS", "SOL-USDT, BTC-USDT")
    monkeypatch.setenv("BULKHEAD_EXEC_LOOKUP_DELAYS_MS", "100,300")
    monkeypatch.setenv("BULKHEAD_EXEC_NOTIONAL_MAX", "1234.5")
    monkeypatch.setenv("BULKHEAD_VENUE_URL", "http://venue:1")
    settings = load_settings(Settings)
    made = settings.machine()
    assert made.instruments == ("SOL-USDT", "BTC-USDT")
    assert made.lookup_delays_ms == (100, 300)
    assert made.notional_max == Decimal("1234.5")
    assert settings.exec_venue_url == "http://venue:1"


@pytest.mark.parametrize("variable", ["BULKHEAD_EXEC_API_KEY_FILE", "BULKHEAD_EXEC_API_SECRET_FILE"])
def test_a_secret_that_others_can_read_is_refused_by_name(environment, variable):
    """A secret that others can read is refused by name."""
    path = environment / ("key" if "API_KEY" in variable else "secret")
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=f"(?s){variable}.*0640") as caught:
        load_settings(Settings)
    assert "kkkk" not in str(caught.value)
    assert "ssss" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "variable", "content"),
    [
        ("key", "BULKHEAD_EXEC_API_KEY_FILE", "q7Zx" * 15 + "q7Z"),
        ("key", "BULKHEAD_EXEC_API_KEY_FILE", "q7Zx" * 16 + "q"),
        ("key", "BULKHEAD_EXEC_API_KEY_FILE", "q7Z " * 16),
        ("key", "BULKHEAD_EXEC_API_KEY_FILE", "q7Zx" * 8 + "\n" + "q7Zx" * 8),
        ("secret", "BULKHEAD_EXEC_API_SECRET_FILE", "q7Z=" * 16),
        ("secret", "BULKHEAD_EXEC_API_SECRET_FILE", "q7Zx" * 10),
        (
            "secret",
            "BULKHEAD_EXEC_API_SECRET_FILE",
            f"-----BEGIN {'PRIVATE'} KEY-----\nq7Zx\n-----END {'PRIVATE'} KEY-----",
        ),
    ],
)
def test_what_no_venue_issues_is_refused_by_variable_and_file_and_not_shown(environment, file, variable, content):
    """What no venue issues is refused by variable and file and not shown."""
    path = environment / file
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert variable in str(caught.value)
    assert str(path) in str(caught.value)
    assert "q7Z" not in str(caught.value)


@pytest.mark.parametrize("make", [Ed25519PrivateKey.generate, lambda: rsa.generate_private_key(65537, 2048)])
def test_a_private_key_may_sign_instead_of_a_secret(environment, make):
    """A private key may sign instead of a secret."""
    pem = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (environment / "secret").write_text(pem)
    assert load_settings(Settings).credentials()[1] == pem.strip()


def test_a_private_key_of_another_kind_is_refused(environment):
    """A private key of another kind is refused: the venue would take none of its signatures."""
    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (environment / "secret").write_text(pem)
    with pytest.raises(SettingsError, match="Ed25519 or RSA"):
        load_settings(Settings)


def test_another_venues_credentials_have_another_form(environment, monkeypatch):
    """Another venue's credentials have another form."""
    monkeypatch.setenv("BULKHEAD_EXEC_VENUE", "kraken")
    monkeypatch.setenv("BULKHEAD_EXEC_PAIRS", "false")
    (environment / "secret").write_text("q7Z+" * 21 + "qw==")
    assert load_settings(Settings).credentials()[1].endswith("==")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BULKHEAD_EXEC_GATE_PUBLIC_KEY", "abc"),
        ("BULKHEAD_INSTRUMENTS", "BTCUSDT"),
        ("BULKHEAD_INSTRUMENTS", "BTC-USDT,ETH USDT-"),
        ("BULKHEAD_EXEC_RETRY_DELAYS_MS", "0"),
        ("BULKHEAD_EXEC_LOOKUP_DELAYS_MS", "-5,200"),
        ("BULKHEAD_EXEC_NOTIONAL_MAX", "0"),
        ("BULKHEAD_EXEC_VENUE_URL", "http://user:pass@venue"),
    ],
)
def test_a_bad_setting_is_refused_by_name(environment, monkeypatch, variable, value):
    """A bad setting is refused by name."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings(Settings)


def test_the_gates_public_key_comes_from_a_file_where_it_is_not_given(environment, monkeypatch):
    """A deployment mounts the gate's public key as a file; what is given in words wins."""
    (environment / "gate.hex").write_text(f"{'a' * 64}\n")
    monkeypatch.setenv("BULKHEAD_EXEC_GATE_PUBLIC_KEY_FILE", str(environment / "gate.hex"))
    assert load_settings(Settings).machine().gate_public_key == KEY
    monkeypatch.delenv("BULKHEAD_EXEC_GATE_PUBLIC_KEY")
    assert load_settings(Settings).machine().gate_public_key == "a" * 64


@pytest.mark.parametrize("content", [None, "", "a" * 63, "g" * 64, "a" * 64 + "\n" + "b" * 64])
def test_without_the_gates_key_no_executor_starts(environment, monkeypatch, content):
    """Without the gate's key nobody's approvals count: no file, an empty one or another text are refused at the start."""
    monkeypatch.delenv("BULKHEAD_EXEC_GATE_PUBLIC_KEY")
    if content is not None:
        (environment / "gate.hex").write_text(content)
        monkeypatch.setenv("BULKHEAD_EXEC_GATE_PUBLIC_KEY_FILE", str(environment / "gate.hex"))
    with pytest.raises(SettingsError, match="BULKHEAD_EXEC_GATE_PUBLIC_KEY"):
        load_settings(Settings)


@pytest.fixture
def kucoin(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete environment for KuCoin."""
    for name, secret in (
        ("key", "5" * 24),
        ("secret", "a1b2c3d4-0000-4000-8000-000000000000"),
        ("passphrase", "pass-phrase"),
    ):
        (environment / name).write_text(secret + "\n")
        (environment / name).chmod(0o600)
    monkeypatch.setenv("BULKHEAD_EXEC_VENUE", "kucoin")
    monkeypatch.setenv("BULKHEAD_EXEC_PAIRS", "false")
    monkeypatch.setenv("BULKHEAD_EXEC_API_PASSPHRASE_FILE", str(environment / "passphrase"))
    return environment


def test_kucoin_has_credentials_of_its_own_form_and_an_adapter_of_its_own(kucoin):
    """KuCoin has credentials of its own form, a passphrase among them, and an adapter of its own."""
    settings = load_settings(Settings)
    assert settings.credentials()[0] == "5" * 24
    assert settings.passphrase() == "pass-phrase"
    assert isinstance(venue_of(settings), KucoinVenue)


def test_at_binance_the_adapter_is_binances(environment):
    """At Binance the adapter is Binance's, and no passphrase is wanted."""
    made = venue_of(load_settings(Settings))
    assert type(made) is CcxtVenue


def test_pairs_at_kucoin_are_refused_by_name(kucoin, monkeypatch):
    """Pairs at KuCoin are refused by name."""
    monkeypatch.setenv("BULKHEAD_EXEC_PAIRS", "true")
    with pytest.raises(SettingsError, match="BULKHEAD_EXEC_PAIRS"):
        load_settings(Settings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("key", "too short for a key"),
        ("secret", "no blanks are in a secret of theirs"),
        ("passphrase", "has blanks in it"),
    ],
)
def test_what_kucoin_does_not_issue_is_refused_by_name(kucoin, name, content):
    """What KuCoin does not issue is refused by name, and not shown."""
    (kucoin / name).write_text(content)
    with pytest.raises(SettingsError, match=f"BULKHEAD_EXEC_API_{name.upper()}_FILE") as refused:
        load_settings(Settings)
    assert content not in str(refused.value)


def test_kucoin_wants_a_passphrase(kucoin, monkeypatch):
    """KuCoin wants a passphrase."""
    monkeypatch.delenv("BULKHEAD_EXEC_API_PASSPHRASE_FILE")
    with pytest.raises(SettingsError, match="BULKHEAD_EXEC_API_PASSPHRASE_FILE"):
        load_settings(Settings)


def test_a_stray_variable_without_our_prefix_moves_no_order(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's EXEC_VENUE_URL is not where our orders go."""
    monkeypatch.setenv("EXEC_VENUE_URL", "https://elsewhere")
    monkeypatch.setenv("BULKHEAD_EXEC_VENUE_URL", "https://told")
    assert load_settings(Settings).exec_venue_url == "https://told"
    monkeypatch.delenv("BULKHEAD_EXEC_VENUE_URL")
    assert load_settings(Settings).exec_venue_url.startswith("http://127.0.0.1")
