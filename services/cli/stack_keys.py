"""The keys that a stack makes for itself on its first run, in `keys/` of its state folder: the gate's signing key, and a key for its own venue.

A real venue's key is nobody's but its owner's to make; where one is traded, none is made here.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from libs.runtime.nats_config import check_private, write_secret

VENUE_KEY, VENUE_SECRET, GATE_KEY = "venue-api-key", "venue-api-secret", "gate-signing.pem"


class StackError(Exception):
    """The stack cannot be brought up; the text says why and what to do."""


class VenueKey(msgspec.Struct, frozen=True):
    """The files of the API key that this stack's own venue knows."""

    key: Path
    secret: Path


class GateKey(msgspec.Struct, frozen=True):
    """The file of the gate's signing key, and its public key (hex)."""

    file: Path
    public_key: str


class Secrets(msgspec.Struct, frozen=True):
    """The files a first run makes under `keys/`, and the gate's public key (hex)."""

    api_key: Path
    api_secret: Path
    gate_key: Path
    gate_public_key: str


def ensure_secrets(home: Path) -> Secrets:
    """Make the venue's API key and the gate's signing key where they are missing, readable by their owner alone.

    Raises:
        KeysError: a file is readable by others.
        StackError: the signing key is none.
    """
    venue, gate = ensure_venue_key(home), ensure_gate_key(home)
    return Secrets(venue.key, venue.secret, gate.file, gate.public_key)


def ensure_venue_key(home: Path) -> VenueKey:
    """Make the API key of this stack's own venue where it is missing.

    Raises:
        KeysError: a file is readable by others.
    """
    folder = _folder(home)
    made = VenueKey(folder / VENUE_KEY, folder / VENUE_SECRET)
    for path in (made.key, made.secret):
        if not path.exists():
            write_secret(path, secrets.token_hex(32).encode())
        check_private(path)
    return made


def ensure_gate_key(home: Path) -> GateKey:
    """Make the gate's signing key where it is missing.

    Raises:
        KeysError: it is readable by others.
        StackError: it is no key.
    """
    path = _folder(home) / GATE_KEY
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_secret(path, pem)
    check_private(path)
    return GateKey(path, _public_hex(path))


def _folder(home: Path) -> Path:
    folder = home / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _public_hex(path: Path) -> str:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:
        raise StackError(f"{path} is not a private key; delete it and start again to get a new one") from None
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
