"""The only place that holds the signing key. It is read from a file, never made, never shown (and registered as a secret).

The file holds an Ed25519 private key: PEM (PKCS 8, without a password), 64 hex characters, or the 32 raw bytes. Nobody but its owner
may have any right on it. An error names the file and what is wrong with it, never what is in it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from libs.common.approval import sign
from libs.common.messages import Message, OrderApproved
from libs.runtime.private_files import is_exposed, mode_of
from libs.runtime.redaction import register_secret
from libs.runtime.settings import SettingsError

KEY_BYTES = 32
FILE_BYTES_MAX = 4096
_HEX = re.compile(rb"[0-9a-fA-F]{64}")


class BadKeyFile(SettingsError):
    """The signing key cannot be used."""


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in the file `path`.

    Raises:
        BadKeyFile: no such regular file, unreadable, open to others, or not an Ed25519 private key.
    """
    key = _decoded(_read_private(path), path)
    register_secret(key.private_bytes_raw().hex())
    return key


def sealer(private_key: Ed25519PrivateKey) -> Callable[[Message], Message]:
    """What the shell passes every output through: approvals are signed, everything else stays as it is."""

    def seal(message: Message) -> Message:
        return sign(private_key, message) if isinstance(message, OrderApproved) else message

    return seal


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not make us wait
    except OSError as error:
        raise BadKeyFile(f"cannot read {path}: {error.strerror}; want the file with the signing key") from None
    try:
        _refuse_unless_private(os.fstat(descriptor), path)
        raw = os.read(descriptor, FILE_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(raw) > FILE_BYTES_MAX:
        raise BadKeyFile(f"{path} is too large for a key (more than {FILE_BYTES_MAX} bytes)")
    return raw


def _refuse_unless_private(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadKeyFile(f"{path} is not a regular file")
    if is_exposed(status):
        raise BadKeyFile(f"{path} is open to others (mode {mode_of(status)}); want 0600 or 0400: chmod 600 {path}")


def _decoded(raw: bytes, path: Path) -> Ed25519PrivateKey:
    if raw.lstrip().startswith(b"-----BEGIN"):
        register_secret(raw.decode("ascii", "replace"))
        return _from_pem(raw, path)
    if _HEX.fullmatch(raw.strip()):
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(raw.strip().decode()))
    if len(raw) == KEY_BYTES:
        return Ed25519PrivateKey.from_private_bytes(raw)
    raise BadKeyFile(f"{path} holds no Ed25519 private key ({len(raw)} bytes; want PEM, 64 hex characters or 32 bytes)")


def _from_pem(raw: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        raise BadKeyFile(f"{path} is not a readable PEM private key without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKeyFile(f"{path} holds a private key, but not an Ed25519 one")
    return key
