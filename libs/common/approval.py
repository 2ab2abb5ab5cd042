"""The gate's seal: an approval that anybody can check and only the holder of the signing key can make.

Signed is the message itself in its canonical bytes, so nothing in it can be changed, left out or moved to another story:
every payload field, the checks, the id, times, correlation and producer. Not signed is what is not part of the verdict:
the signature, and the writer's position in the log (`done_in_seq`, `done_out_index`). A first line names the domain, so that
a signature made for anything else never passes for an approval.

Keys are Ed25519: a public key travels as 64 hex characters, its `key_id` is the start of its digest. The machine of the gate
knows no key: it publishes unsealed approvals, the live shell seals them, and a replay compares them `unsigned`.
"""

from __future__ import annotations

import hashlib
import re

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs.common.codec import encode
from libs.common.messages import OrderApproved

DOMAIN = b"bulkhead order_approved.v1\n"

UNSIGNED = "UNSIGNED"
UNKNOWN_KEY = "UNKNOWN_KEY"
BAD_SIGNATURE = "BAD_SIGNATURE"
BAD_PUBLIC_KEY = "BAD_PUBLIC_KEY"

_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


def approval_bytes(message: OrderApproved) -> bytes:
    """What is signed: the domain, then the message without its signature and without its position in the log."""
    return DOMAIN + encode(msgspec.structs.replace(message, signature="", done_in_seq=0, done_out_index=0))


def unsigned(message: OrderApproved) -> OrderApproved:
    """The approval as the gate's machine made it, before the shell sealed it."""
    return msgspec.structs.replace(message, key_id="", signature="")


def public_key_hex(private_key: Ed25519PrivateKey) -> str:
    """The public half of `private_key`, as others are told it (64 lowercase hex characters)."""
    return private_key.public_key().public_bytes_raw().hex()


def key_id_of(public_key: str) -> str:
    """The short name of a public key (hex): tells which key to look for, proves nothing."""
    return hashlib.blake2b(bytes.fromhex(public_key), digest_size=8).hexdigest()


def sign(private_key: Ed25519PrivateKey, message: OrderApproved) -> OrderApproved:
    """`message` with `key_id` and `signature` set; the same message and key give the same signature."""
    named = msgspec.structs.replace(message, key_id=key_id_of(public_key_hex(private_key)), signature="")
    return msgspec.structs.replace(named, signature=private_key.sign(approval_bytes(named)).hex())


def verify(public_key: str, message: OrderApproved) -> str | None:
    """None if `public_key` (hex) signed exactly this approval, else why not.

    UNSIGNED: it carries no signature. UNKNOWN_KEY: another key signed it. BAD_SIGNATURE: it was altered, or the signature is
    not one. BAD_PUBLIC_KEY: the caller's own key is not 64 lowercase hex characters of an Ed25519 key.
    """
    if not _PUBLIC_KEY.fullmatch(public_key):
        return BAD_PUBLIC_KEY
    if not message.signature:
        return UNSIGNED
    if message.key_id != key_id_of(public_key):
        return UNKNOWN_KEY
    if not _SIGNATURE.fullmatch(message.signature):
        return BAD_SIGNATURE
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(message.signature), approval_bytes(message))
    except InvalidSignature:
        return BAD_SIGNATURE
    return None
