"""Foreign texts made harmless to read: what cannot be seen is taken out, what looks odd is flagged, nothing is dropped in silence.

    raw ──▶ cut ──▶ invisible, bidi, tag and control characters out ──▶ NFKC ──▶ (until nothing changes) ──▶ one line ──▶ flags

A flag is not a verdict: a press release may hold a transaction hash, and a Greek name is no attack. It says what a reader of the
text should know, and whoever decides may give less weight to a flagged one. Cleaning a clean text changes nothing.

Texts are cut before anything is searched in them and every search is linear, so hostile text cannot cost time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import msgspec

TEXTS_MAX = 6
TEXT_CHARS_MAX = 600
RAW_CHARS_MAX = 4_000
MARKS_IN_A_ROW_MAX = 3
_ROUNDS_MAX = 6
_LOOKALIKE_LATIN_SHARE = 0.5

Flag = Literal[
    "base64",
    "bidi",
    "control",
    "cut",
    "hex",
    "homoglyph",
    "instruction",
    "invisible",
    "markup",
    "marks",
    "morse",
    "private",
    "styled",
    "tag",
]
"""What was taken out of a text (bidi, control, cut, invisible, marks, private, tag), what was made plain (styled), and what it looks like."""

Dropped = Literal["empty", "repeated", "too_many"]


class RawText(msgspec.Struct, frozen=True, kw_only=True):
    """A text as somebody wrote it; `ts_event` (ns) is when it was published, `source` a slug of ours."""

    source: str
    ts_event: int
    text: str


class CleanText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that may be shown to a model: one line, at most `TEXT_CHARS_MAX` characters, all of them visible."""

    source: str
    ts_event: int
    text: str
    flags: tuple[Flag, ...] = ()


class Cleaned(msgspec.Struct, frozen=True):
    """The texts that are left, oldest first, and for each that is not why."""

    texts: tuple[CleanText, ...]
    dropped: tuple[Dropped, ...]


def clean_texts(raws: Iterable[RawText]) -> Cleaned:
    """The newest `TEXTS_MAX` different texts; the order in which they came does not matter."""
    kept: list[CleanText] = []
    dropped: list[Dropped] = []
    seen: set[str] = set()
    for raw in sorted(raws, key=lambda each: (-each.ts_event, each.source, each.text)):
        text, flags = clean_text(raw.text)
        if not text:
            dropped.append("empty")
        elif text in seen:
            dropped.append("repeated")
        elif len(kept) == TEXTS_MAX:
            dropped.append("too_many")
        else:
            seen.add(text)
            kept.append(CleanText(source=raw.source, ts_event=raw.ts_event, text=text, flags=flags))
    return Cleaned(tuple(reversed(kept)), tuple(dropped))


def clean_text(raw: str) -> tuple[str, tuple[Flag, ...]]:
    """`raw` as one visible line, and its flags in alphabetical order."""
    flags: set[Flag] = set()
    text = raw
    if len(text) > RAW_CHARS_MAX:
        text = text[:RAW_CHARS_MAX]
        flags.add("cut")
    if any(_is_styled(each) for each in text):
        flags.add("styled")
    for _ in range(
        _ROUNDS_MAX
    ):  # what is taken out may let its neighbours compose, and a composition may be taken apart
        before = text
        text = unicodedata.normalize("NFKC", _visible(text, flags))
        if len(text) > RAW_CHARS_MAX:  # one character may stand for eighteen
            text = text[:RAW_CHARS_MAX]
            flags.add("cut")
        if text == before:
            break
    text = " ".join(text.split())
    if len(text) > TEXT_CHARS_MAX:
        text = unicodedata.normalize("NFKC", text[:TEXT_CHARS_MAX]).rstrip()
        flags.add("cut")
    flags |= _looks_of(text)
    return text, tuple(sorted(flags))


# --- what is taken out ----------------------------------------------------------------------------------------------

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Neither control nor format characters by their category, and yet nothing is seen of them."""


def _visible(text: str, flags: set[Flag]) -> str:
    """`text` without what cannot be seen; each kind of it is noted in `flags`."""
    shown: list[str] = []
    marks = 0
    for each in text:
        kind = _unseen(each)
        if kind is not None:
            flags.add(kind)
            continue
        marks = marks + 1 if unicodedata.combining(each) else 0
        if marks > MARKS_IN_A_ROW_MAX:
            flags.add("marks")
            continue
        shown.append(each)
    return "".join(shown)


def _unseen(each: str) -> Flag | None:
    """Which kind of invisible thing a character is; None if it can be seen, or is a blank between words."""
    if each in "\n\r\t" or (each.isascii() and each.isprintable()):
        return None
    if each in _BIDI:
        return "bidi"
    code = ord(each)
    if 0xE0000 <= code <= 0xE007F:
        return "tag"
    if each in _BLANK or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or 0x180B <= code <= 0x180F:
        return "invisible"
    match unicodedata.category(each):
        case "Cf":
            return "invisible"
        case "Cc" | "Zl" | "Zp":
            return "control"
        case "Co" | "Cn" | "Cs":
            return "private"
    return None


def _is_styled(each: str) -> bool:
    """A letter in fancy dress: fullwidth, mathematical, circled."""
    if each.isascii():
        return False
    plain = unicodedata.normalize("NFKC", each)
    return len(plain) == 1 and plain.isascii() and plain.isalnum()


# --- what it looks like ---------------------------------------------------------------------------------------------

_DOTS = "\u00b7\u2022\u2219\u22c5\u2024\u3002*"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc_"
_MORSE_SIGNS = str.maketrans(dict.fromkeys(_DOTS, ".") | dict.fromkeys(_DASHES, "-"))
_MORSE = re.compile(r"(?:[.\-]{1,7}+[ /|,]{1,3}+){5,}+")
_ENCODED = re.compile(r"[A-Za-z0-9+/_\-]{20,}+={0,2}+")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :,]?){16,}+|(?:[01]{7,8}[ ,]?){4,}+")
_ESCAPES = re.compile(r"(?:(?:\\x|%|\\u|&#x?|U\+)[0-9a-fA-F]{2,6};? ?){4,}+")
_WORD = re.compile(r"[^\W\d_]++")
_MARKUP = ("<|", "|>", "```", "[inst", "</", '{"', "###", "<<", ">>", "<s>", "]]>", "<!--", "](")
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}?\b(?:previous|above|prior|earlier|instructions?|rules?|prompt|everything)\b"
    r"|\b(?:system|developer) (?:prompt|message|mode|note|override)\b|\bjailbreak|\bprompt injection\b|\bnew instructions?\b"
    r"|\b(?:system|assistant|user|human|developer)\s?:"
    r"|\byou (?:are now|must|should|will|have to|are an?)\b|\bas an ai\b|\blanguage model\b|\bact as\b|\bpretend\b"
    r"|\b(?:answer|respond|reply|output|return|print|say|write|repeat|reveal|set|vote)\b.{0,20}?"
    r"\b(?:only|with|exactly|following|above|stance|json|verbatim|canary|marker|prompt|up|down|p)\b"
    r"|\bstance\b|\bcanary\b|\bp\s?[=:]\s?[01]",
    re.IGNORECASE,
)
_FAMILY_SCRIPTS = frozenset(
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "MODIFIER", "FEMININE", "MASCULINE", "MICRO"}
)
"""Scripts that stand beside Latin letters without a space in honest text."""

_LOOKALIKES = str.maketrans(
    # Cyrillic, Greek, Armenian and Cherokee letters, and the Latin ones they pass for
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb"
    "\u0501\u051b\u051d\u0475\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u0555\u054f\u057d\u0578\u0585\u0570"
    "\u13aa\u13f4\u13df\u13ac\u13bb\u13ab\u13e6\u13b7\u13e2\u13a1\u13da\u13a2\u13d9\u13d4",
    "ABESIJKMHOPCTYXaeopcyxijshdqwvABEZHIKMNOPTYXovOSunohABCEHJKMPRSTVW",
)


def _looks_of(text: str) -> set[Flag]:
    looks: set[Flag] = set()
    lowered = text.lower()
    if any(each in lowered for each in _MARKUP):
        looks.add("markup")
    if _INSTRUCTION.search(text.translate(_LOOKALIKES)):
        looks.add("instruction")
    if _has_homoglyphs(text):
        looks.add("homoglyph")
    if any(_is_encoded(match[0]) for match in _ENCODED.finditer(text)):
        looks.add("base64")
    if _HEX.search(text) or _ESCAPES.search(text):
        looks.add("hex")
    signs = text.translate(_MORSE_SIGNS) + " "
    if any("." in match[0] and "-" in match[0] for match in _MORSE.finditer(signs)):
        looks.add("morse")
    return looks


def _is_encoded(run: str) -> bool:
    """Whether a long run of letters looks like base64 or base32 rather than a word or the path of a page."""
    has_upper, has_lower = any(map(str.isupper, run)), any(map(str.islower, run))
    has_digit = any(map(str.isdigit, run))
    if has_upper and has_lower:
        return has_digit or run.endswith("=") or _changes_of_case(run) >= len(run) // 5
    return has_digit and not has_lower and "-" not in run and "_" not in run


def _changes_of_case(run: str) -> int:
    return sum(one.islower() and other.isupper() for one, other in pairwise(run))


def _has_homoglyphs(text: str) -> bool:
    """A word of two alphabets, or in mostly Latin text a word that only looks Latin."""
    letters = [each for each in text if each.isalpha()]
    latin = sum(_script(each) == "LATIN" for each in letters)
    is_latin = latin >= _LOOKALIKE_LATIN_SHARE * len(letters)
    return any(_is_disguised(match[0], is_latin=is_latin) for match in _WORD.finditer(text))


def _is_disguised(word: str, *, is_latin: bool) -> bool:
    if word.isascii():
        return False
    if any(0x0250 <= ord(each) <= 0x02AF or 0x1D00 <= ord(each) <= 0x1DBF for each in word):  # phonetic letters
        return True
    scripts = {_script(each) for each in word}
    if "LATIN" in scripts and scripts - _FAMILY_SCRIPTS:
        return True
    return is_latin and "LATIN" not in scripts and all(ord(each) in _LOOKALIKES for each in word)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
