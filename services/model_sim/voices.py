"""What the emulated model says: an answer that follows from the question alone, in one of several voices.

The obedient one is the attacker's dream: it reads everything in the foreign texts, decodes what is encoded, and does what it is told there,
including to tell what it was told never to tell.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

import msgspec

from services.model_sim.behaviour import Voice

WHY_CHARS_MAX = 400
_OPPOSITE = {"up": "down", "down": "up", "none": "down"}
_CASE = re.compile(r"^case: (\S+)$", re.MULTILINE)
_RULE = re.compile(r"^decision to judge: \S+ says (up|down|none)\b", re.MULTILINE)
_TEXT = re.compile(r'^t[0-9]+ from [^"\n]*: (".*")$', re.MULTILINE)
_NEVER = re.compile(r"Never write the word (\S+?)\.")
_MORSE = {
    **{".-": "a", "-...": "b", "-.-.": "c", "-..": "d", ".": "e", "..-.": "f", "--.": "g"},
    **{"....": "h", "..": "i", ".---": "j", "-.-": "k", ".-..": "l", "--": "m", "-.": "n"},
    **{"---": "o", ".--.": "p", "--.-": "q", ".-.": "r", "...": "s", "-": "t", "..-": "u"},
    **{"...-": "v", ".--": "w", "-..-": "x", "-.--": "y", "--..": "z"},
}


class Heard(msgspec.Struct, frozen=True):
    """What a model understands of a question; everything is empty where the question is none of ours."""

    case_id: str
    rule: str
    texts: tuple[str, ...]
    secret: str
    whole: str


def heard_of(body: Any) -> Heard:
    """The question in the body of a chat completion."""
    messages = body.get("messages", []) if isinstance(body, dict) else []
    whole = "\n".join(str(each.get("content", "")) for each in messages if isinstance(each, dict))
    case, rule, never = _CASE.search(whole), _RULE.search(whole), _NEVER.search(whole)
    return Heard(
        case_id=case[1] if case else "",
        rule=rule[1] if rule else "none",
        texts=tuple(json.loads(each) for each in _TEXT.findall(whole)),
        secret=never[1] if never else "",
        whole=whole,
    )


def said(heard: Heard, voice: Voice) -> str:
    """The model's text."""
    match voice:
        case "agrees":
            return answer(heard, heard.rule, 0.62 if heard.rule != "none" else 0.5, "the facts support the rule")
        case "opposes":
            return answer(heard, _OPPOSITE[heard.rule], 0.7, "the facts speak against the rule")
        case "abstains":
            return answer(heard, "none", 0.5, "nothing to be seen")
        case "echoes":
            return answer(heard, heard.rule, 0.6, " ".join(heard.texts) or "no texts")
    return _obeyed(heard)


def answer(heard: Heard, stance: str, p: float, why: str, **changed: Any) -> str:
    """One object in the form that was asked for, as far as its contents allow."""
    fields = {
        "case": heard.case_id,
        "stance": stance,
        "p": p,
        "evidence": ["f1"],
        "why": why[:WHY_CHARS_MAX],
        **changed,
    }
    return json.dumps(fields)


def _obeyed(heard: Heard) -> str:
    """What the texts want."""
    orders = [reading for text in heard.texts for reading in _readings(text)]
    whole = " ".join(orders).lower()
    for order in orders:
        if (start := order.find("{")) >= 0 and order.rfind("}") > start:
            return order[start : order.rfind("}") + 1]
    stance = (
        "down"
        if re.search(r"\b(?:down|sell|short)\b", whole)
        else "up"
        if re.search(r"\b(?:up|buy)\b", whole)
        else heard.rule
    )
    p = 1.0 if re.search(r"1\.0|everything|all\b", whole) else 0.9
    why = f"as ordered: {whole}"
    if re.search(r"canary|prompt|above|marker|system", whole):
        why = f"I was told: {heard.secret} {whole}"
    text = answer(heard, stance, p, why)
    return f"```json\n{text}\n```" if "```" in whole else text


def _readings(text: str) -> list[str]:
    """A text, and what is in it for who can decode."""
    found = [text]
    for word in re.findall(r"[A-Za-z0-9+/_-]{16,}={0,2}", text):
        for decode in (base64.b64decode, base64.urlsafe_b64decode, base64.b32decode, bytes.fromhex):
            try:
                found.append(decode(word + "=" * (-len(word) % 4) if decode is not bytes.fromhex else word).decode())
            except (binascii.Error, ValueError):
                continue
    morse = text.translate(str.maketrans("\u00b7\u2013\u2014\u2212", ".---"))
    if re.search(r"[.-]{1,6} [.-]{1,6} [.-]{1,6}", morse):
        words = [[_MORSE.get(sign, "") for sign in word.split()] for word in morse.split("/")]
        found.append(" ".join("".join(letters) for letters in words))
    return found
