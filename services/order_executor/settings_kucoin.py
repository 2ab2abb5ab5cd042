"""What KuCoin asks of our settings: credentials in its form, a passphrase beside them, and no pairs."""

from __future__ import annotations

import re
from pathlib import Path

from libs.runtime.settings import SettingsError, read_secret_file

KEY, SECRET = re.compile(r"[A-Za-z0-9]{24,64}"), re.compile(r"[A-Za-z0-9-]{36,64}")
PASSPHRASE = re.compile(r"[\x21-\x7e]{7,32}")
PASSPHRASE_FILE = "BULKHEAD_EXEC_API_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable


def check_key(key: str, variable: str, path: Path) -> None:
    """Whether this can be a key of KuCoin, read from the file `path` that `variable` names.

    Raises:
        SettingsError: it cannot.
    """
    _check(key, KEY, variable, path)


def check_secret(secret: str, variable: str, path: Path) -> None:
    """Whether this can be a secret of KuCoin.

    Raises:
        SettingsError: it cannot.
    """
    _check(secret, SECRET, variable, path)


def passphrase_in(path: Path | None) -> str:
    """The passphrase in the file `path`; redacted from now on.

    Raises:
        SettingsError: no file is named or there is none, others may read it, or it holds nothing that KuCoin takes.
    """
    if path is None:
        raise SettingsError(f"{PASSPHRASE_FILE}: KuCoin wants it; point it at the file that holds the passphrase")
    passphrase = read_secret_file(path, PASSPHRASE_FILE, chars_min=7)
    _check(passphrase, PASSPHRASE, PASSPHRASE_FILE, path)
    return passphrase


def check_choices(*, pairs: bool, passphrase_file: Path | None) -> None:
    """Whether what was chosen can be done at KuCoin.

    Raises:
        SettingsError: it cannot.
    """
    passphrase_in(passphrase_file)
    if pairs:
        raise SettingsError("BULKHEAD_EXEC_PAIRS: pairs (OCO) are not used at KuCoin; set it to false")


def _check(text: str, form: re.Pattern[str], variable: str, path: Path) -> None:
    if not form.fullmatch(text):
        raise SettingsError(f"{variable}: {str(path)!r} does not hold what KuCoin issues: want {form.pattern}")
