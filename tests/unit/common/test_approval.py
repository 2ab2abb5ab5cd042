"""The seal of an approval: everything that matters is under it, and only the key's holder can make it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from libs.common.approval import approval_bytes, key_id_of, public_key_hex, sign, unsigned, verify
from libs.common.codec import decode, encode
from libs.common.messages import Check, OrderApproved

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = public_key_hex(KEY)

APPROVED = OrderApproved(
    id="a1",
    ts_event=1,
    ts_init=2,
    correlation_id="story",
    causation_id="intent",
    done_in_seq=7,
    done_out_index=1,
    producer="risk",
    intent_id="i1",
    instrument="BTC-USDT",
    side="BUY",
    ord_type="LIMIT",
    time_in_force="GTC",
    order_qty=Decimal("0.020"),
    limit_px=Decimal(60_000),
    ref_px=Decimal(60_000),
    stop_px=Decimal(58_800),
    target_px=None,
    reduce_only=False,
    valid_until=10,
    checks=(Check(code="MAX_POSITION", passed=True, value="1200", limit="2000"),),
)
POSITION = ("done_in_seq", "done_out_index")
SIGNED_FIELDS = [name for name in OrderApproved.__struct_fields__ if name not in (*POSITION, "key_id", "signature")]
CHANGED: dict[str, Any] = {
    "side": "SELL",
    "ord_type": "MARKET",
    "time_in_force": "IOC",
    "reduce_only": True,
    "limit_px": None,
    "stop_px": None,
    "target_px": Decimal(63_000),
    "checks": (),
}


def changed(name: str) -> Any:
    if name in CHANGED:
        return CHANGED[name]
    value = getattr(APPROVED, name)
    return value + "x" if isinstance(value, str) else value + 1


def test_a_signed_approval_survives_the_wire() -> None:
    """Sealed by the gate, read from the log, it is good; and sealing it again gives the same bytes."""
    sealed = sign(KEY, APPROVED)
    assert verify(PUBLIC, decode(encode(sealed))) is None  # type: ignore[arg-type]
    assert encode(sign(KEY, sealed)) == encode(sealed)
    assert sealed.key_id == key_id_of(PUBLIC)


@pytest.mark.parametrize("name", SIGNED_FIELDS)
def test_nothing_in_an_approval_can_be_changed(name: str) -> None:
    """Whichever field is altered after sealing, the seal is broken."""
    altered = msgspec.structs.replace(sign(KEY, APPROVED), **{name: changed(name)})
    assert verify(PUBLIC, altered) == "BAD_SIGNATURE"


def test_the_place_in_the_log_is_not_part_of_the_verdict() -> None:
    """The writer's position may differ without breaking the seal."""
    moved = msgspec.structs.replace(sign(KEY, APPROVED), done_in_seq=8, done_out_index=2)
    assert verify(PUBLIC, moved) is None


def test_a_number_written_otherwise_is_another_approval() -> None:
    """0.020 and 0.02 are equal and yet not the same bytes: only what the gate wrote is signed."""
    rewritten = msgspec.structs.replace(sign(KEY, APPROVED), order_qty=Decimal("0.02"))
    assert verify(PUBLIC, rewritten) == "BAD_SIGNATURE"


def test_an_unsigned_approval_is_none() -> None:
    """What the machine publishes is worth nothing before the shell has sealed it."""
    assert verify(PUBLIC, APPROVED) == "UNSIGNED"


def test_another_key_is_refused_by_name_and_by_proof() -> None:
    """A foreign key is told by its id; one that borrows our id fails the proof."""
    foreign = sign(OTHER_KEY, APPROVED)
    assert verify(PUBLIC, foreign) == "UNKNOWN_KEY"
    assert verify(PUBLIC, msgspec.structs.replace(foreign, key_id=key_id_of(PUBLIC))) == "BAD_SIGNATURE"


@pytest.mark.parametrize("signature", ["00" * 64, "zz" * 64, "00" * 63, " " + "00" * 63 + "0", "A" * 128])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    """Wrong length, wrong alphabet, wrong value: one answer."""
    forged = msgspec.structs.replace(sign(KEY, APPROVED), signature=signature)
    assert verify(PUBLIC, forged) == "BAD_SIGNATURE"


def test_a_signature_in_capitals_is_another_text() -> None:
    """One signature has one spelling."""
    sealed = sign(KEY, APPROVED)
    assert verify(PUBLIC, msgspec.structs.replace(sealed, signature=sealed.signature.upper())) == "BAD_SIGNATURE"


@pytest.mark.parametrize("public_key", ["", "00", PUBLIC.upper(), PUBLIC + "00", "g" * 64])
def test_a_malformed_public_key_trusts_nobody(public_key: str) -> None:
    """An executor with a wrong key refuses everything, and says that it is the key."""
    assert verify(public_key, sign(KEY, APPROVED)) == "BAD_PUBLIC_KEY"


@given(st.binary(min_size=32, max_size=32))
def test_a_key_that_is_not_ours_never_verifies(raw: bytes) -> None:
    """Any other 32 bytes as public key: refused, never an exception, even when the message names that key."""
    claimed = msgspec.structs.replace(sign(KEY, APPROVED), key_id=key_id_of(raw.hex()))
    assert verify(raw.hex(), claimed) in ("BAD_SIGNATURE", None if raw.hex() == PUBLIC else "BAD_SIGNATURE")


def test_replay_compares_without_the_seal() -> None:
    """A replay has no key: with seal and key name taken off, a sealed approval is what the machine made."""
    assert encode(unsigned(sign(KEY, APPROVED))) == encode(APPROVED)


def test_the_signed_bytes_name_their_domain() -> None:
    """A signature for an approval can be no signature for anything else; the key's name is under the seal."""
    assert approval_bytes(APPROVED).startswith(b"bulkhead order_approved.v1\n{")
    assert b'"valid_until":10' in approval_bytes(APPROVED)
    assert key_id_of(PUBLIC).encode() in approval_bytes(sign(KEY, APPROVED))
