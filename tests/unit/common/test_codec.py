"""What no machine should ever see: refused with a reason, whatever the bytes."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.codec import PAYLOAD_BYTES_MAX, BadEvent, decode, decode_from, encode
from libs.common.messages import ALL, JournalPosted, Message, OrderIntent, TextHeard
from libs.common.subjects import subject_of
from tests.unit.common.sampling import sample_of, tag_of, without

INTENT = sample_of(OrderIntent)
POSTED = sample_of(JournalPosted)


def changed(**fields: object) -> bytes:
    """An intent's bytes with some fields changed or added."""
    return json.dumps({**json.loads(encode(INTENT)), **fields}, separators=(",", ":")).encode()


def refusal(payload: bytes, subject: str = "") -> BadEvent:
    with pytest.raises(BadEvent) as caught:
        decode_from(subject or subject_of(INTENT), payload)
    return caught.value


@pytest.mark.parametrize("kind", ALL, ids=tag_of)
def test_every_type_survives_the_wire(kind: type[Message]) -> None:
    """What is said is what is heard, on its subject, from its writer."""
    message = sample_of(kind)
    assert decode_from(subject_of(message), encode(message)) == message


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (changed(type="order_wish.v1"), "UNKNOWN_TYPE"),
        (changed(type="order_intent.v0"), "UNKNOWN_TYPE"),
        (changed(type="order_intent.v2"), "UNKNOWN_TYPE"),
        (changed(type=None), "MALFORMED"),
        (without(INTENT, "type"), "MALFORMED"),
        (without(INTENT, "side"), "MALFORMED"),
        (changed(leverage=100), "MALFORMED"),
        (changed(side="buy"), "MALFORMED"),
        (changed(order_qty="lots"), "MALFORMED"),
        (changed(order_qty=True), "MALFORMED"),
        (changed(valid_until=1.5), "MALFORMED"),
        (changed(valid_until="1"), "MALFORMED"),
        (changed(reduce_only="no"), "MALFORMED"),
        (b"", "MALFORMED"),
        (b"null", "MALFORMED"),
        (b"[" * 200_000, "MALFORMED"),
        (b"\xff\xfe", "MALFORMED"),
        (encode(INTENT)[:-1], "MALFORMED"),
        (encode(INTENT) + b"{}", "MALFORMED"),
        (encode(INTENT).replace(b"some reason", b"\xff"), "MALFORMED"),
    ],
)
def test_a_malformed_event_is_refused(payload: bytes, reason: str) -> None:
    """Wrong type, version, field or form: the reason is a slug a machine can count, the detail never the payload."""
    error = refusal(payload)
    assert error.reason == reason
    assert len(error.detail) <= 500
    assert "some reason" not in str(error)


@pytest.mark.parametrize("number", ["NaN", "nan", "-NaN", "sNaN", "sNaN12", "Infinity", "-inf", "INF", "+Infinity"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    """NaN is a valid Decimal, equal to nothing and comparable with nothing: no limit would hold against it."""
    assert refusal(changed(order_qty=number)).reason in ("NOT_FINITE", "NOT_CANONICAL")


def test_a_bare_nan_is_no_json() -> None:
    """Python writes NaN into JSON; JSON knows no such thing."""
    assert refusal(changed(order_qty=float("nan"))).reason == "MALFORMED"


@pytest.mark.parametrize(
    "number",
    [
        r"\u004eaN",
        r"I\u006ef",
        "1E+999999",
        "1e-999999",
    ],
)
def test_a_number_in_disguise_is_refused(number: str) -> None:
    """Escaped letters spell NaN as well, and a number of a million digits stops whoever adds it up."""
    payload = encode(INTENT).replace(b'"order_qty":"0.00123000"', f'"order_qty":"{number}"'.encode())
    assert payload != encode(INTENT)
    assert refusal(payload).reason in ("NOT_FINITE", "MALFORMED", "NOT_CANONICAL")


def test_a_huge_payload_is_not_even_parsed() -> None:
    """Size is checked before anything is read."""
    assert refusal(b"[" * (PAYLOAD_BYTES_MAX + 1)).reason == "TOO_LARGE"
    assert refusal(changed(reason="x" * PAYLOAD_BYTES_MAX)).reason == "TOO_LARGE"


@pytest.mark.parametrize(
    "subject",
    [
        "portfolio.intent.ETH-USDT",
        "portfolio.intent",
        "risk.approved.BTC-USDT",
        "portfolio.intent.BTC-USDT.x",
        "x" * 900,
    ],
)
def test_a_message_on_a_foreign_subject_is_refused(subject: str) -> None:
    """Permissions are given by subject; a message elsewhere than on its own was put there by somebody else."""
    error = refusal(encode(INTENT), subject)
    assert error.reason == "WRONG_SUBJECT"
    assert len(error.detail) <= 500


@pytest.mark.parametrize("instrument", ["BTC.USDT", "*", ">", "", "a b", "x" * 65, "BTC-USDT\n"])
def test_a_field_cannot_name_another_subject(instrument: str) -> None:
    """What stands in a subject is one plain token, or the message has no subject at all."""
    assert refusal(changed(instrument=instrument)).reason == "WRONG_SUBJECT"


@pytest.mark.parametrize("writer", ["risk", "agent.trend", "", "portfolio.x", "*"])
def test_a_writer_says_only_what_is_its_to_say(writer: str) -> None:
    """An intent said by anybody but the portfolio is no intent."""
    assert refusal(changed(producer=writer)).reason == "WRONG_WRITER"


@given(st.binary(max_size=300))
def test_bytes_never_get_past_the_codec(payload: bytes) -> None:
    """Whatever lies in the log, decoding is answered with `BadEvent`, short of a whole valid message."""
    reasons = ("TOO_LARGE", "NOT_FINITE", "MALFORMED", "UNKNOWN_TYPE", "NOT_CANONICAL", "WRONG_SUBJECT", "WRONG_WRITER")
    assert refusal(payload, "risk.alert").reason in reasons


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.data())
def test_a_message_with_any_one_field_changed_is_heard_or_refused(data: st.DataObject) -> None:
    """Of every type, with any JSON in any field: the answer is a message that can be said again, or `BadEvent`."""
    sample = sample_of(data.draw(st.sampled_from(ALL)))
    fields = json.loads(encode(sample))
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = data.draw(JSON_VALUES)
    payload = json.dumps(fields, separators=(",", ":")).encode()
    try:
        message = decode_from(subject_of(sample), payload)
    except BadEvent:
        return
    assert decode(encode(message)) == message


@given(st.data())
def test_a_message_with_damaged_bytes_is_heard_or_refused(data: st.DataObject) -> None:
    """A flipped byte anywhere ends in a message or in `BadEvent`, never in anything else."""
    sample = sample_of(data.draw(st.sampled_from(ALL)))
    raw = bytearray(encode(sample))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    try:
        message = decode_from(subject_of(sample), bytes(raw))
    except BadEvent:
        return
    assert isinstance(message, Message)


def test_equal_messages_have_equal_bytes() -> None:
    """The replay proof compares bytes, so a message has one form only: metadata first, fields in the order of the class."""
    again = msgspec.structs.replace(INTENT, reason="other")
    assert encode(msgspec.structs.replace(again, reason=INTENT.reason)) == encode(INTENT)
    assert list(json.loads(encode(INTENT))) == ["type", *OrderIntent.__struct_fields__]


@pytest.mark.parametrize(
    ("field", "spelling"),
    [
        ("order_qty", '" 0.00123000"'),
        ("order_qty", "0.00123"),
        ("ts_init", "1000000000000000000000000000000"),
        ("ts_init", "-1"),
    ],
)
def test_a_fact_has_one_spelling(field: str, spelling: str) -> None:
    """Spaces, bare numbers, times beyond every clock: what decodes but is not how we write it is refused."""
    before = encode(INTENT)
    plain = json.dumps(json.loads(before)[field]).encode()
    payload = before.replace(f'"{field}":'.encode() + plain, f'"{field}":{spelling}'.encode())
    assert payload != before
    assert refusal(payload).reason in ("NOT_CANONICAL", "MALFORMED")


@pytest.mark.parametrize("number", ["NaN", "-NaN", "sNaN", "NaN12", "Infinity", "-Infinity", "1E+999999", "1.5E-4000"])
def test_a_well_written_number_without_measure_is_refused(number: str) -> None:
    """Exactly as Decimal itself writes it."""
    assert refusal(changed(order_qty=number)).reason == "NOT_FINITE"


def test_an_id_that_looks_like_a_number_is_an_id() -> None:
    """One id in a million is all digits around one `e`."""
    message = msgspec.structs.replace(INTENT, intent_id="10124099392248e44511194602967159")
    assert decode(encode(message)) == message


@pytest.mark.parametrize("words", ["NaN", "-Infinity", "sNaN12", "1E+999999"])
def test_words_that_look_like_no_number_are_words(words: str) -> None:
    """What somebody wrote is no number: a text that says only `NaN` is heard as it was said."""
    heard = msgspec.structs.replace(sample_of(TextHeard), text=words)
    assert decode_from(subject_of(heard), encode(heard)) == heard


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1E+999999"])
def test_beside_such_words_a_number_is_still_refused(number: str) -> None:
    """Among words, and in a record within a record: a number keeps its measure wherever it stands."""
    posting = msgspec.structs.replace(POSTED.postings[-1], amount=Decimal(number))
    for bad in (
        msgspec.structs.replace(INTENT, reason="NaN", order_qty=Decimal(number)),
        msgspec.structs.replace(POSTED, postings=(*POSTED.postings[:-1], posting)),
    ):
        with pytest.raises(BadEvent) as caught:
            decode(encode(bad))
        assert caught.value.reason == "NOT_FINITE"
