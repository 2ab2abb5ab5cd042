"""The signing key: read once from a private file, never made, never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from libs.common.approval import public_key_hex, verify
from libs.common.messages import OrderApproved
from libs.runtime.redaction import redact
from libs.runtime.settings import SettingsError, load_settings
from services.risk_gate.limits import Limits
from services.risk_gate.settings import Settings
from services.risk_gate.signer import load_signing_key, sealer
from tests.unit.risk_gate.book import D, entry, opened, status

RAW = bytes(range(64, 96))
KEY = Ed25519PrivateKey.from_private_bytes(RAW)
VARIABLE = "BULKHEAD_RISK_SIGNING_KEY_FILE"


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, how: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how or NoEncryption())


def kept(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return kept(tmp_path / "risk.key", pem(KEY))


@pytest.mark.parametrize("content", [pem(KEY), RAW, RAW.hex().encode() + b"\n"], ids=["pem", "raw", "hex"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_read_in_every_form(tmp_path: Path, content: bytes, mode: int) -> None:
    """PEM, raw or hex: the same key."""
    key = load_signing_key(kept(tmp_path / "risk.key", content, mode))
    assert public_key_hex(key) == public_key_hex(KEY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o660, 0o644])
def test_a_key_others_could_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right for group or world, and the gate does not start; the text says what to do."""
    path = kept(tmp_path / "risk.key", RAW, mode)
    with pytest.raises(SettingsError, match=rf"risk.key is open to others \(mode {mode:04o}\).*chmod 600"):
        load_signing_key(path)


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    """Nothing is generated in its place."""
    with pytest.raises(SettingsError, match=r"cannot read .*none.key: No such file"):
        load_signing_key(tmp_path / "none.key")
    assert list(tmp_path.iterdir()) == []


def test_only_a_regular_file_is_a_key(tmp_path: Path) -> None:
    """A folder is none, and a pipe is refused at once instead of waited for."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    with pytest.raises(SettingsError, match="not a regular file"):
        load_signing_key(folder)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SettingsError, match="not a regular file"):
        load_signing_key(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


SECRET_LOOKING = b"correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no Ed25519 private key"),
        (SECRET_LOOKING, "no Ed25519 private key"),
        (RAW + b"\n", "no Ed25519 private key"),
        (b"-----BEGIN PRIVATE KEY-----\n" + SECRET_LOOKING + b"\n-----END PRIVATE KEY-----\n", "not a readable PEM"),
        (pem(KEY, BestAvailableEncryption(b"pass phrase")), "without a password"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 one"),
        (KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "not a readable PEM"),
        (SECRET_LOOKING * 200, "too large for a key"),
    ],
    ids=["empty", "text", "33 bytes", "broken pem", "encrypted", "ecdsa", "public", "large"],
)
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, content: bytes, why: str) -> None:
    """The text names the file and the fault, and nothing of the content."""
    path = kept(tmp_path / "risk.key", content)
    with pytest.raises(SettingsError, match=why) as caught:
        load_signing_key(path)
    assert str(path) in str(caught.value)
    assert "horse" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_key_is_known_to_the_redaction(key_file: Path) -> None:
    """Should the key ever reach a log line, it is masked there."""
    load_signing_key(key_file)
    assert RAW.hex() not in redact(f"oops {RAW.hex()}")
    body = pem(KEY).splitlines()[1].decode()
    assert body not in redact(f"oops {body}")


def test_only_approvals_are_sealed() -> None:
    """The seal is for orders; every other message passes untouched."""
    seal = sealer(KEY)
    approved = opened().tell(entry()).only(OrderApproved)
    sealed = seal(approved)
    assert isinstance(sealed, OrderApproved)
    assert verify(public_key_hex(KEY), sealed) is None
    other = status()
    assert seal(other) is other


# --- settings -------------------------------------------------------------------------------------------------------


def test_the_settings_hold_the_limits_and_the_seal(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing but the key file set, the defaults are the documented ones."""
    monkeypatch.setenv(VARIABLE, str(key_file))
    settings = load_settings(Settings)
    assert settings.machine() == Limits(instruments=("BTC-USDT", "ETH-USDT"), macro=True, bars=True, signals=True)
    sealed = settings.seal()(opened().tell(entry()).only(OrderApproved))
    assert isinstance(sealed, OrderApproved)
    assert verify(public_key_hex(KEY), sealed) is None


def test_every_limit_can_be_set(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit has its variable: BULKHEAD_RISK_ and its name."""
    monkeypatch.setenv(VARIABLE, str(key_file))
    monkeypatch.setenv("BULKHEAD_INSTRUMENTS", "BTC-USDT, SOL-USDT,")
    wanted = {name: "0.5" for name in Limits.__struct_fields__ if name not in ("instruments", "venue")}
    wanted |= {name: "100" for name, value in wanted.items() if isinstance(getattr(Limits(instruments=()), name), int)}
    wanted |= {
        "order_value_max": "1234.5",
        "spread_multiple_max": "2.5",
        "losses_pause_ms": "5000",
        "drawdown_half_risk": "0.3",
        "drawdown_entry_max": "0.3",
        "drawdown_halt": "0.3",
        "daily_loss_max": "0.1",
        "loss_fraction_max": "0.05",
        "total_risk_fraction_max": "0.2",
        "collar_aggressive": "0.1",
        "macro": "1",
        "levels": "1",
        "bars": "0",
        "signals": "0",
    }
    window = "Fri 20:00-Sun 22:00"
    others = {
        "drawdown_flatten": "false",
        "correlation_timeframe": "4h",
        "bar_timeframe": "1d",
        "blackouts": f" {window}, 2026-12-16T18:30/2026-12-16T20:00",
    }
    wanted = {name: value for name, value in wanted.items() if name not in others}
    for name, value in others.items():
        monkeypatch.setenv(f"BULKHEAD_RISK_{name.upper()}", value)
    for name, value in wanted.items():
        monkeypatch.setenv(f"BULKHEAD_RISK_{name.upper()}", value)
    limits = load_settings(Settings).machine()
    assert limits.instruments == ("BTC-USDT", "SOL-USDT")
    assert (limits.drawdown_flatten, limits.correlation_timeframe, limits.bar_timeframe) == (False, "4h", "1d")
    assert [each.text for each in limits.blackouts] == [window, "2026-12-16T18:30/2026-12-16T20:00"]
    assert {name: D(getattr(limits, name)) for name in wanted} == {name: D(value) for name, value in wanted.items()}


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("BULKHEAD_INSTRUMENTS", "BTCUSDT", "want instruments like BTC-USDT"),
        ("BULKHEAD_INSTRUMENTS", "BTC-USDT,risk.>-X", "want instruments like BTC-USDT"),
        ("BULKHEAD_INSTRUMENTS", ",", "at least 1 item"),
        ("BULKHEAD_RISK_POSITION_FRACTION_MAX", "20", "less than or equal to 1"),
        ("BULKHEAD_RISK_LOSS_FRACTION_MAX", "NaN", "finite"),
        ("BULKHEAD_RISK_ORDER_VALUE_MAX", "0", "greater than 0"),
        ("BULKHEAD_RISK_INTENT_MEMORY_HOURS", "23", "greater than or equal to 24"),
        ("BULKHEAD_RISK_DRAWDOWN_HALT", "0.05", "not be below BULKHEAD_RISK_DRAWDOWN_ENTRY_MAX, which is 0.10"),
        ("BULKHEAD_RISK_STOP_DISTANCE_MAX", "0.0001", "not be below BULKHEAD_RISK_STOP_DISTANCE_MIN"),
        ("BULKHEAD_RISK_STOP_ATR_MAX", "0.4", "not be below BULKHEAD_RISK_STOP_ATR_MIN"),
        ("BULKHEAD_RISK_BLACKOUTS", "Fri 20:00-Sun 24:00", "want windows like"),
        ("BULKHEAD_RISK_BLACKOUTS", "Fri 20:00-Fri 20:00", "ends before it begins, or as it does"),
        ("BULKHEAD_RISK_BLACKOUTS", "2026-12-16T20:00/2026-12-16T18:30", "ends before it begins"),
        ("BULKHEAD_RISK_BLACKOUTS", "2026-12-16T20:00+02:00/2026-12-17", "not in UTC"),
        ("BULKHEAD_RISK_BLACKOUTS", "tomorrow/later", "want windows like"),
    ],
)
def test_a_bad_setting_is_named(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    """The gate refuses to start: which variable, what it got, what it wants."""
    monkeypatch.setenv(VARIABLE, str(key_file))
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=why) as caught:
        load_settings(Settings)
    assert f"{variable}: got {value!r}" in str(caught.value)


def test_without_a_usable_key_the_gate_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing variable, a missing file, an open file: the variable is named, the content is not."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(SettingsError, match=f"{VARIABLE}: got .*required"):
        load_settings(Settings)
    monkeypatch.setenv(VARIABLE, str(kept(tmp_path / "risk.key", SECRET_LOOKING, 0o644)))
    with pytest.raises(SettingsError, match=f"{VARIABLE}.*open to others") as caught:
        load_settings(Settings)
    assert "horse" not in str(caught.value)
