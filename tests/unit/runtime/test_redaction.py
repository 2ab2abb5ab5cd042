"""What is kept out of every text: registered secrets in all their forms, and what looks like one."""

from __future__ import annotations

import base64
import json
import re
import re._constants as regex_ops
import re._parser as regex_parser
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime import redaction
from libs.runtime.redaction import (
    DEPTH_MAX,
    FIELDS_CHARS_MAX,
    MASK,
    SHAPES,
    TEXT_CHARS_MAX,
    forget_secrets,
    redact,
    redact_fields,
    register_secret,
)

SECRET = "vE9/ry+s3cr3t=&val ue"
PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1sS0oV1b2wYcVbXnB3m2o0pW5xq8d3m6o1T9kQxZ7a
9kQxZ7aMC4CAQAwBQYDK2VwBCIEIJ1sS0oV1b2wYcVbXnB3m2o0pW5xq8d3m6o1T
-----END PRIVATE KEY-----
"""
NKEY_SEED = "SU" + "AMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU"
AGE_IDENTITY = "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2
BOT_TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"


@pytest.fixture(autouse=True)
def no_secret_left() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        f"x{SECRET}y",
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"user1:{SECRET}tail".encode()).decode(),
        base64.b64encode(f"user12:{SECRET}".encode()).decode(),
    ],
)
def test_a_registered_secret_is_masked_in_every_form(form: str) -> None:
    """A secret travels raw, URL-escaped, in hex and inside somebody's base64: none of them gets out."""
    register_secret(SECRET)
    shown = redact(f"before {form} after")
    assert SECRET not in shown
    assert form not in shown
    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60),
    before=st.text(max_size=50),
    after=st.text(max_size=50),
)
def test_no_text_around_it_brings_a_registered_secret_out(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, a registered secret is not in the answer, neither raw nor as JSON shows it."""
    forget_secrets()
    register_secret(secret)
    assert secret not in redact(before + secret + after).replace(MASK, "\n")
    assert json.dumps(secret)[1:-1] not in redact(json.dumps(before + secret + after)).replace(MASK, "\n")


def test_a_registered_pem_is_masked_line_by_line() -> None:
    """Libraries that choke on a key quote one line of it."""
    register_secret(PEM)
    line = PEM.splitlines()[1]
    assert line not in redact(f"cannot parse line 2: {line}")
    assert MASK in redact(PEM.replace("\n", "\\n"))


@pytest.mark.parametrize("value", ["", "short", "     x     "])
def test_a_secret_too_short_to_hide_is_refused(value: str) -> None:
    """Masking "abc" would mask half the log; such a secret must not be used at all."""
    with pytest.raises(ValueError, match="fewer than"):
        register_secret(value)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"POST https://api.telegram.org/bot{BOT_TOKEN}/sendMessage", BOT_TOKEN[10:]),
        (f"POST https://api.telegram.org/bot{quote(BOT_TOKEN, safe='')}/sendMessage", BOT_TOKEN[10:]),
        (f"token is {BOT_TOKEN}.", BOT_TOKEN[10:]),
        ("key sk-proj-abcDEF0123456789_xyz is wrong", "abcDEF0123456789"),
        ("ghp_0123456789abcdefghij0123456789abcdef", "0123456789abcdefghij"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIi"),
        ("postgresql+psycopg://bulkhead:hun@ter2@db:5432/x", "hun@ter2"),
        ("nats://SomeLongTokenWithoutUser@bus:4222", "SomeLongToken"),
        ("host=db password=hunter22 user=x", "hunter22"),
        (f"seed {NKEY_SEED}", NKEY_SEED[2:]),
        (f"opened with {AGE_IDENTITY}", AGE_IDENTITY[20:]),
        (f"opened with {AGE_IDENTITY.lower()}", AGE_IDENTITY[20:].lower()),
        ("Authorization: Bearer abc.def", "abc.def"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ("sent Bearer 0123456789abcdef to", "0123456789abcdef"),
        ("X-MBX-APIKEY: vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv", "vmPUZE6mv9SD5"),
        ("GET /order?symbol=X&timestamp=1&signature=c8db56825ae71d6d79447849e6", "c8db5682"),
        ('{"apiKey": "abcdef0123", "n": 1}', "abcdef0123"),
        ("{'secret': b'bytes-here'}", "bytes-here"),
        (PEM, "MC4CAQAwBQYDK2VwBCIEI"),
        (f"{PEM[:90]}", "MC4CAQAwBQYDK2VwBCIEI"),
        (f"{PEM[60:]} after", "9kQxZ7aMC4"),
        (repr(PEM), "MC4CAQAwBQYDK2VwBCIEI"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, hidden: str) -> None:
    """Shapes are masked although nobody registered them."""
    shown = redact(text)
    assert hidden in text
    assert hidden not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "order 1f0c3f6a9d0e4c2ab1d2e3f405162738 filled at 64123.45 BTC-USDT",
        "wss://127.0.0.1:9443/stream?streams=btcusdt@trade/ethusdt@bookTicker",
        "http://127.0.0.1:8080/readyz answered 503",
        "nats://127.0.0.1:4222",
        "seq 123456789 at 1700000000000000000 of agent.trend",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE----- is public, a PRIVATE KEY is not",
    ],
)
def test_what_an_operator_needs_stays_readable(text: str) -> None:
    """Ids, prices, times and addresses are not secrets."""
    assert redact(text) == text


def test_names_hide_what_stands_under_them() -> None:
    """A value under a telling name is masked whatever it looks like; numbers are counts, not secrets."""
    shown = redact_fields(
        {
            "password": "pw",
            "api_key": "k",
            "nested": {"bot_token": "t", "seed": 7, "deep": [{"private_key": b"raw"}]},
            "token_count": 12,
            "key_id": "k1",
            "qty": Decimal("0.1"),
            "nothing": None,
            "ok": True,
        }
    )
    assert shown == {
        "password": MASK,
        "api_key": MASK,
        "nested": {"bot_token": MASK, "seed": 7, "deep": [{"private_key": MASK}]},
        "token_count": 12,
        "key_id": "k1",
        "qty": "0.1",
        "nothing": None,
        "ok": True,
    }


def test_secrets_hide_in_no_corner_of_a_structure() -> None:
    """Not as a name, not in bytes, not in an exception, not as digits of a number."""
    register_secret(SECRET)
    register_secret("774411")
    shown = redact_fields(
        {
            SECRET: 1,
            "bytes": SECRET.encode(),
            "error": ValueError(SECRET),
            "pin": 774411,
            "amount": 1.5,
            "tuple": (SECRET, [SECRET]),
            "view": memoryview(SECRET.encode()),
        }
    )
    text = json.dumps(shown)
    assert SECRET not in text
    assert "774411" not in text
    assert shown["amount"] == 1.5


def test_structures_are_bounded_in_depth_and_size() -> None:
    """A log line is a line: no nesting, number of fields or text makes it grow without end."""
    deep: dict = {}
    inner = deep
    for _ in range(DEPTH_MAX * 3):
        inner["in"] = {}
        inner = inner["in"]
    cyclic: list = []
    cyclic.append(cyclic)
    shown = redact_fields(
        {
            "deep": deep,
            "cyclic": cyclic,
            "many": list(range(100_000)),
            "wide": {str(n): n for n in range(100_000)},
            "late": 1,
        }
    )
    assert len(json.dumps(shown)) < 20_000
    long = redact_fields({str(n): "word " * 20_000 for n in range(50)})
    assert len(json.dumps(long)) < FIELDS_CHARS_MAX + 2 * TEXT_CHARS_MAX


@pytest.mark.parametrize("value", [2**70, -(2**70), float("nan"), float("inf"), "\udcff"])
def test_odd_values_become_printable(value: object) -> None:
    """What JSON cannot hold is shown as a text instead of spoiling the line."""
    shown = redact_fields({"x": value})["x"]
    assert isinstance(shown, str)
    shown.encode()


@pytest.mark.parametrize(
    "unit", ["a", "a.", "eyJ", "://", "sk-", "/bot1", "bearer ", "1:", "-----BEGIN ", "S" * 3, "token=", "\n"]
)
def test_hostile_text_is_cut_before_any_regex(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of anything reaches no pattern: each sees at most the bounded text (which bounds the time, too)."""
    seen: list[int] = []

    class Spy:
        def __init__(self, pattern: re.Pattern[str]):
            self.pattern = pattern

        def sub(self, replacement: str, text: str) -> str:
            seen.append(len(text))
            return self.pattern.sub(replacement, text)

    spies = [redaction.Shape(("",), Spy(shape.pattern), shape.replacement) for shape in SHAPES]  # type: ignore[arg-type]
    monkeypatch.setattr(redaction, "SHAPES", spies)
    shown = redact(unit * (1_000_000 // len(unit)))
    assert len(seen) == len(SHAPES)
    assert max(seen) <= TEXT_CHARS_MAX * 2
    assert len(shown) <= TEXT_CHARS_MAX * 2


def test_no_pattern_can_run_away() -> None:
    """Every quantifier is bounded and none stands inside another one, so a search costs at most text times width."""

    def repeats(tree, inside: int) -> None:
        for op, args in tree:
            if op in (regex_ops.MAX_REPEAT, regex_ops.MIN_REPEAT, regex_ops.POSSESSIVE_REPEAT):
                _low, high, body = args
                assert high is not regex_ops.MAXREPEAT, "an unbounded quantifier"
                assert not (inside > 1 and high > 1), "a quantifier inside a quantifier"
                repeats(body, max(inside, high))
            elif op is regex_ops.SUBPATTERN:
                repeats(args[-1], inside)
            elif op is regex_ops.BRANCH:
                for branch in args[1]:
                    repeats(branch, inside)
            elif op in (regex_ops.ASSERT, regex_ops.ASSERT_NOT):
                repeats(args[1], inside)

    for shape in SHAPES:
        tree = regex_parser.parse(shape.pattern.pattern, shape.pattern.flags)
        repeats(tree, 1)
        assert tree.getwidth()[1] < 4096, shape.pattern.pattern


def test_a_secret_at_the_cut_is_not_halved() -> None:
    """Where a long text is cut, the words at the cut go too: half a secret is still half a secret."""
    secret = "Q" + "z9" * 40
    register_secret(secret)
    for shift in range(0, 90, 7):
        place = TEXT_CHARS_MAX - TEXT_CHARS_MAX // 4 - shift
        text = ("a " * place)[:place] + secret + " b" * TEXT_CHARS_MAX
        shown = redact(text)
        assert "z9z9z9z9" not in shown
        mirrored = "b " * TEXT_CHARS_MAX + secret + (" a" * place)[: TEXT_CHARS_MAX // 4 - shift]
        assert "z9z9z9z9" not in redact(mirrored)


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    """A traceback says at its end what went wrong."""
    shown = redact("Traceback begins\n" + "x " * 50_000 + "\nValueError: the reason")
    assert shown.startswith("Traceback begins")
    assert shown.endswith("ValueError: the reason")
    assert len(shown) <= TEXT_CHARS_MAX + 100
