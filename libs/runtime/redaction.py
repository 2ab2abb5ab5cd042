"""No secret leaves the process in a text: not in a log line, an error, an alert, a trace or a copy in DEAD.

Theory of operation, in this order:

1. **cut**: a text longer than `TEXT_CHARS_MAX` loses its middle, together with the words at the cut (half a secret is one too).
   Nothing below ever sees more, and every quantifier below is bounded and possessive, so hostile text cannot cost time;
2. **registered secrets**: the exact values read by this process, and the forms they travel in (base64 at any offset, hex, URL and
   JSON escaped, the lines of a PEM);
3. **shapes**: what looks like a secret although nobody registered it;
4. **names** (`redact_fields`): whatever stands under a name such as `password`, if it is a text.
"""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

MASK = "[redacted]"
TEXT_CHARS_MAX = 16_384
FIELDS_CHARS_MAX = 65_536
FIELDS_MAX = 512
DEPTH_MAX = 6
SECRET_CHARS_MIN = 6
"""A shorter secret would mask half of every text; `register_secret` refuses it."""

_TAIL_CHARS = TEXT_CHARS_MAX // 4
_WORD_CHARS_MAX = 512
_FORM_CHARS_MIN = 8
_LINE_CHARS_MIN = 16

_registered: tuple[str, ...] = ()


class Shape(msgspec.Struct, frozen=True):
    """One kind of secret by its looks. `hints` (lower case) are cheap: without one of them in the text, no search is made."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str = MASK


_NAMES = r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?secret|credentials?|signature)"

SHAPES: tuple[Shape, ...] = (
    Shape(("/bot",), re.compile(r"(/bot)[0-9]{1,16}+(?::|%3[Aa])[A-Za-z0-9_-]{8,128}+"), rf"\1{MASK}"),
    Shape((":",), re.compile(r"(?<![0-9])[0-9]{6,12}+:[A-Za-z0-9_-]{34,128}+")),
    Shape(
        ("sk-", "gh", "akia", "aiza", "xox"),
        re.compile(
            r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{16,256}+|gh[pousr]_[A-Za-z0-9]{20,128}+|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,64}+"
            r"|xox[abprs]-[A-Za-z0-9-]{10,128}+)"
        ),
    ),
    Shape(("bht_",), re.compile(r"(bht_[a-z0-9]{12}_)[A-Za-z0-9_-]{16,128}+"), rf"\1{MASK}"),
    Shape(("eyj",), re.compile(r"eyJ[A-Za-z0-9_-]{8,1024}+\.[A-Za-z0-9_-]{8,1024}+(?:\.[A-Za-z0-9_-]{0,1024}+)?")),
    Shape(("s",), re.compile(r"S[UAOCNX][A-Z2-7]{54,64}+")),
    Shape(("age-secret-key-",), re.compile(r"AGE-SECRET-KEY-[0-9A-Z-]{16,128}+", re.IGNORECASE)),
    Shape(("://",), re.compile(r"(://[^\s:/@]{0,128}+:)[^\s/]{1,256}@"), rf"\1{MASK}@"),
    Shape(("://",), re.compile(r"(://)[^\s:/@?]{16,256}+@"), rf"\1{MASK}@"),
    Shape(
        ("authorization",),
        re.compile(
            r"(authorization[\"']?\s{0,3}+[:=]\s{0,3}+[\"']?(?:(?:bearer|basic|digest|token)\s{1,3}+)?)[^\s\"',]{4,1024}+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    Shape(
        ("bearer", "basic"),
        re.compile(r"\b((?:bearer|basic)\s{1,3}+)[A-Za-z0-9._~+/=-]{12,1024}+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    Shape(
        ("passw", "passphrase", "secret", "token", "key", "credential", "signature"),
        re.compile(
            rf"({_NAMES}[\"']?\s{{0,3}}+[=:]\s{{0,3}}+(?:b?[\"'])?)(?!\[redacted)[^\s\"'&,;}})\]]{{6,512}}+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)

_SECRET_FIELD = re.compile(
    r"(?:^|_)(?:passw(?:or)?d|passphrase|secret|secrets|token|seed|apikey|api_key|access_key|private_key|signing_key|authorization"
    r"|credential|credentials|cookie|dsn|database_url|totp|otp)(?:$|_(?:value|header|text|hex)$)",
    re.IGNORECASE,
)


def register_secret(value: str) -> None:
    """From now on `value` is masked wherever it appears, in all forms it travels in.

    Raises:
        ValueError: it is shorter than `SECRET_CHARS_MIN` characters and cannot be hidden.
    """
    global _registered
    if len(value.strip()) < SECRET_CHARS_MIN:
        raise ValueError(f"a secret of fewer than {SECRET_CHARS_MIN} characters cannot be kept out of texts")
    forms = {*_registered}
    for part in _parts(value):
        forms |= _forms(part)
    _registered = tuple(sorted(forms, key=lambda form: (-len(form), form)))


def forget_secrets() -> None:
    """Forget every registered secret (for tests)."""
    global _registered
    _registered = ()


def redact(text: str) -> str:
    """`text`, shortened where it is very long, with every secret in it masked."""
    text = _without_pem(_masked(_cut(text)))
    lowered = text.lower()
    for shape in SHAPES:
        if any(hint in lowered for hint in shape.hints):
            text = shape.pattern.sub(shape.replacement, text)
    return text


def redact_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """A copy of `fields` that is safe to show: bounded in depth and size, secrets masked by value, shape and name.

    Values become plain JSON values; what is neither a number, a text nor a container is shown as its `str`.
    """
    return _Copier().mapping(fields, 0)


class _Copier:
    """One bounded copy: counts what it has shown, and stops when it was enough."""

    def __init__(self) -> None:
        self._fields_left = FIELDS_MAX
        self._chars_left = FIELDS_CHARS_MAX

    def mapping(self, fields: dict[Any, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, value in fields.items():
            if self._fields_left <= 0:
                shown["..."] = "cut"
                break
            name = self._text(str(name))
            secret = isinstance(value, str | bytes | bytearray | list | tuple | dict) and _SECRET_FIELD.search(name)
            shown[name] = MASK if secret else self.value(value, depth + 1)
        return shown

    def value(self, value: Any, depth: int) -> Any:
        self._fields_left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            digits = str(value)
            if _masked(digits) != digits:
                return MASK
            return (
                value if -(2**63) <= value < 2**63 else digits
            )  # what JSON readers can hold; NaN and infinity as texts
        if isinstance(value, Decimal):
            return self._text(str(value))
        if depth > DEPTH_MAX or self._fields_left <= 0:
            return "..."
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value[: max(self._fields_left, 0)]]
        if isinstance(value, bytes | bytearray | memoryview):
            return self._text(bytes(value[: TEXT_CHARS_MAX * 2]).decode("utf-8", "replace"))
        return self._text(value if isinstance(value, str) else str(value))

    def _text(self, text: str) -> str:
        if self._chars_left <= 0:
            return "..."
        shown = redact(text).encode("utf-8", "replace").decode()  # a lone surrogate would spoil the whole line
        self._chars_left -= len(shown)
        return shown


def _cut(text: str) -> str:
    if len(text) <= TEXT_CHARS_MAX:
        return text
    head = text[: TEXT_CHARS_MAX - _TAIL_CHARS]
    tail = text[-_TAIL_CHARS:]
    edge = max(head.rfind(" "), head.rfind("\n"), len(head) - _WORD_CHARS_MAX)
    starts = [place for place in (tail.find(" "), tail.find("\n"), _WORD_CHARS_MAX) if place >= 0]
    return f"{head[:edge]} ...[{len(text)} characters]... {tail[min(starts) :]}"


def _masked(text: str) -> str:
    for form in _registered:
        if form in text:
            text = text.replace(form, MASK)
    return text


def _without_pem(text: str) -> str:
    """Private keys between their BEGIN and END lines; by plain searches, each character is looked at a few times only."""
    if "PRIVATE KEY" not in text:
        return text
    shown: list[str] = []
    at = 0
    while at < len(text):
        begin, end = text.find("-----BEGIN", at), text.find("-----END", at)
        label = min((place for place in (begin, end) if place >= 0), default=-1)
        if label < 0:
            break
        header_end = text.find("-----", label + 8)
        if "PRIVATE KEY" not in text[label : min(header_end, label + 80)]:
            shown.append(text[at : label + 8])
            at = label + 8
            continue
        # an END without its BEGIN: the beginning was cut off, so everything before it is the key
        shown.append(text[at:label] + MASK if label == begin else MASK)
        stop = text.find("-----END", label)
        line_end = text.find("-----", stop + 8) if stop >= 0 else -1
        at = line_end + 5 if line_end >= 0 else len(text)
    return "".join(shown) + text[at:]


def _parts(value: str) -> list[str]:
    """The whole secret, and each line of one that has several (a log may show a PEM line by line)."""
    lines = [line.strip() for line in value.splitlines()]
    telling = [line for line in lines if len(line) >= _LINE_CHARS_MIN and not line.startswith("-----")]
    return [value, value.strip(), *(telling if len(lines) > 1 else [])]


def _forms(value: str) -> set[str]:
    raw = value.encode()
    forms = {
        value,
        value.encode("unicode_escape").decode(),
        json.dumps(value)[1:-1],
        quote(value, safe=""),
        quote_plus(value),
    }
    forms |= {raw.hex(), raw.hex().upper()}
    forms |= _base64_forms(raw)
    return {form for form in forms if len(form) >= SECRET_CHARS_MIN}


def _base64_forms(raw: bytes) -> set[str]:
    """What base64 makes of `raw` wherever it stands in a longer text: the characters that depend on nothing but `raw`."""
    forms = set()
    for offset, skipped in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(offset) + raw).decode().rstrip("=")
        core = encoded[skipped : -1 if (offset + len(raw)) % 3 else None]
        if len(core) >= _FORM_CHARS_MIN:
            forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms
