"""What of the venue survives a restart: the account with its place in the market, and the time.

The account is written before anybody is told of a change to it, by renaming a finished file over the old one, so a kill at any
point leaves one or the other. The time is written ahead: a killed venue resumes later than it stopped, never earlier, and plays
to its account what happened in between.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from services.exchange_sim.market import Key


class SavedAccount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The account after the event at `position`; `seen` counts accepted submissions per client id."""

    identity: dict[str, str]
    position: Key
    venue: msgspec.Raw
    seen: dict[str, int]


class SavedClock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Venue time at which to resume."""

    now_ns: int


class StoreError(Exception):
    """What is on disk cannot be used; the text says what to do."""


class AccountStore:
    """The folder of one venue."""

    def __init__(self, folder: Path):
        self._account = folder / "account.json"
        self._clock = folder / "clock.json"
        folder.mkdir(parents=True, exist_ok=True)

    def save_account(self, saved: SavedAccount) -> None:
        """Replace the account on disk."""
        _replace(self._account, msgspec.json.encode(saved))

    def save_clock(self, now_ns: int) -> None:
        """Replace the time on disk."""
        _replace(self._clock, msgspec.json.encode(SavedClock(now_ns=now_ns)))

    def load(self, identity: dict[str, str]) -> tuple[SavedAccount, int] | None:
        """The saved account and the time to resume at; None where none was ever saved.

        Raises:
            StoreError: unreadable, or of another market than `identity`.
        """
        if not self._account.exists():
            return None
        try:
            saved = msgspec.json.decode(self._account.read_bytes(), type=SavedAccount)
            clock = msgspec.json.decode(self._clock.read_bytes(), type=SavedClock) if self._clock.exists() else None
        except msgspec.DecodeError as error:
            raise StoreError(f"{self._account.parent}: not a saved venue ({error}); move the folder away") from None
        if saved.identity != identity:
            raise StoreError(
                f"{self._account}: holds an account of another market ({_shown(saved.identity)}), asked for is"
                f" {_shown(identity)}; start with the old settings, another BULKHEAD_HOME, or move the folder away"
            )
        return saved, max(saved.position[0], clock.now_ns if clock else 0)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def _shown(identity: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(identity.items()))
