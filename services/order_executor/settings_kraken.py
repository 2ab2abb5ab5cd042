"""What Kraken asks of our settings: credentials in its form, no pairs, and a window that its `deadline` can express."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from libs.runtime.settings import SettingsError

KEY = re.compile(r"[A-Za-z0-9+/]{32,128}={0,2}")
SECRET_BYTES_MIN = 32
"""Kraken's own keys are 56 characters and its secrets 64 bytes; those of paper accounts may be shorter."""
WINDOW_MS = (3_000, 60_000)
"""Kraken wants a deadline at least two seconds ahead when the order arrives, and ours is cut to whole seconds."""


def check_key(key: str, variable: str, path: Path) -> None:
    """Whether this can be a key of Kraken, read from the file `path` that `variable` names.

    Raises:
        SettingsError: it cannot.
    """
    if not KEY.fullmatch(key):
        raise SettingsError(
            f"{variable}: {str(path)!r} does not hold a Kraken API key: want its base64 characters only"
        )


def check_secret(secret: str, variable: str, path: Path) -> None:
    """Whether this can be what Kraken calls the private key.

    Raises:
        SettingsError: it cannot.
    """
    try:
        decoded = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) < SECRET_BYTES_MIN:
        raise SettingsError(
            f"{variable}: {str(path)!r} does not hold a Kraken private key: want base64, nothing else, as Kraken shows it"
        )


def check_choices(*, pairs: bool, recv_window_ms: int) -> None:
    """Whether what was chosen can be done at Kraken.

    Raises:
        SettingsError: it cannot.
    """
    if pairs:
        raise SettingsError("BULKHEAD_EXEC_PAIRS: Kraken links no stop with a target (OCO); want false with kraken")
    if not WINDOW_MS[0] <= recv_window_ms <= WINDOW_MS[1]:
        raise SettingsError(
            f"BULKHEAD_EXEC_RECV_WINDOW_MS: {recv_window_ms} cannot be a deadline at Kraken;"
            f" want {WINDOW_MS[0]} to {WINDOW_MS[1]}"
        )
