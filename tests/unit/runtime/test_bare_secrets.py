"""Secrets come from files: one given as a variable stops the start, unseen, with the name of the variable to use."""

from __future__ import annotations

import pytest

from libs.runtime.bare_secrets import bare_secrets
from libs.runtime.config_names import PLACES

SECRET = "0123456789-very-secret"


@pytest.mark.parametrize(
    "wanted", [each for each in PLACES if each.endswith("_FILE") and not each.endswith("PUBLIC_KEY_FILE")]
)
def test_every_secret_with_a_file_is_refused_as_a_value(wanted: str) -> None:
    """Also in small letters, which are read as well."""
    bare = wanted.removesuffix("_FILE")
    for name in (bare, bare.lower()):
        (line,) = bare_secrets({name: SECRET, wanted: "/run/secrets/x"})
        assert line.startswith(f"{bare}: got (not shown)")
        assert wanted in line
        assert SECRET not in line


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("BULKHEAD_BINANCE_API_KEY", "BULKHEAD_EXEC_API_KEY_FILE"),
        ("BULKHEAD_KRAKEN_API_SECRET", "BULKHEAD_EXEC_API_SECRET_FILE"),
        ("BULKHEAD_KUCOIN_PASSPHRASE", "BULKHEAD_EXEC_API_PASSPHRASE_FILE"),
        ("BULKHEAD_OPENAI_API_KEY", "BULKHEAD_LLM_API_KEY_FILE"),
        ("BULKHEAD_TELEGRAM_TOKEN", "BULKHEAD_TELEGRAM_TOKEN_FILE"),
        ("BULKHEAD_TELEGRAM_BOT_TOKEN", "BULKHEAD_TELEGRAM_TOKEN_FILE"),
        ("BULKHEAD_DATABASE_URL", "BULKHEAD_DATABASE_URL_FILE"),
        ("BULKHEAD_RISK_SIGNING_KEY", "BULKHEAD_RISK_SIGNING_KEY_FILE"),
    ],
)
def test_what_people_call_it_elsewhere_is_known(name: str, wanted: str) -> None:
    """The name of a venue or a vendor leads to ours."""
    (line,) = bare_secrets({name: SECRET})
    assert wanted in line


def test_what_is_no_secret_of_ours_passes() -> None:
    """Public keys, files, other programs' keys, empty variables, a database without a password."""
    harmless = {
        "BULKHEAD_EXEC_GATE_PUBLIC_KEY": "00",
        "BULKHEAD_EXEC_API_KEY_FILE": "/k",
        "OPENAI_API_KEY": SECRET,
        "BULKHEAD_LLM_API_KEY": "",
        "BULKHEAD_LOG_LEVEL": "info",
        "BULKHEAD_SIM_KEY_TRADING": "true",
        "DATABASE_URL": "postgresql://books@db/books",
    }
    assert bare_secrets(harmless) == []


@pytest.mark.parametrize(
    "url", ["postgresql://u:pass-word@db/x", " sqlite://u:pass-word@/x", "postgresql://u:pass-word@[x"]
)
def test_a_password_in_the_database_url_is_refused(url: str) -> None:
    """Also where it is no proper URL."""
    (line,) = bare_secrets({"DATABASE_URL": url})
    assert "BULKHEAD_DATABASE_URL_FILE" in line
    assert "pass-word" not in line
