"""Looks for secrets in files and in the whole history of git: rules for the kinds of secrets that this system, and who works on it, has to do with.

Rules of our own, on the standard library, because of what there is to be had (November 2026): detect-secrets has had no release since May 2024, looks at no history and misses
keys and passwords of the forms used here; what is well kept (Betterleaks, Kingfisher) comes as binaries of fifty megabytes that nobody here can read, and some of them send what they find to
its issuer to see whether it is alive.

What is found is told by its rule, place and fingerprint, never by its text. What is no secret is excused by fingerprint, with a reason, in `secret_excuses`; a fingerprint holds for one text alone.
"""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ENTROPY_BITS_MIN = 3.3
"""Bits per character: words and names of our own lie below, what was drawn by chance above."""
BLOB_BYTES_MAX = 4_000_000
BLOBS_AT_ONCE = 500


class Rule(NamedTuple):
    """One kind of secret. `hint` must be in the text for `pattern` to be looked for at all; the secret is the first group, or all of it. Where `drawn`, it must look drawn by chance. `lines`: it goes on over more than one."""

    name: str
    hint: bytes
    pattern: re.Pattern[bytes]
    drawn: bool = False
    lines: bool = False


class Found(NamedTuple):
    """A secret, or what looks like one: its rule, where it stands, and its fingerprint."""

    rule: str
    place: str
    fingerprint: str


_NAME = rb"(?:secret|token|passw(?:or)?d|passphrase|api_?key|private_?key|signing_?key|access_?key|credential|seed)"

RULES = (
    Rule(
        "private key",
        b"PRIVATE KEY",
        re.compile(
            rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|[\"',]){1,12}([A-Za-z0-9+/=]{24,})"
        ),
        lines=True,
    ),
    Rule("age identity", b"AGE-SECRET-KEY-", re.compile(rb"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{40,}")),
    Rule("nkey seed", b"S", re.compile(rb"(?<![A-Z0-9])S[AUOCNX][A-Z2-7]{56}(?![A-Z0-9])"), drawn=True),
    Rule(
        "bot token",
        b":A",
        re.compile(rb"(?:(?<![0-9A-Za-z])|(?<=bot))[0-9]{6,12}:A[A-Za-z0-9_-]{33,35}(?![A-Za-z0-9_-])"),
        drawn=True,
    ),
    Rule("web token", b"eyJ", re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}")),
    Rule("our own token", b"bht_", re.compile(rb"bht_[a-z0-9]{12}_[A-Za-z0-9_-]{32,}"), drawn=True),
    Rule(
        "issued key",
        b"",
        re.compile(
            rb"(?<![A-Za-z0-9_-])(?:sk-[A-Za-z0-9_-]{24,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}"
            rb"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}|xox[abprs]-[A-Za-z0-9-]{20,}|hf_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{50,})"
        ),
        drawn=True,
    ),
    # what venues hand out: 64 letters and digits (Binance), 88 of base64 (Kraken); a digest is hex and has no capitals
    Rule(
        "venue key",
        b"",
        re.compile(
            rb"(?<![A-Za-z0-9+/_=-])(?=[A-Za-z]*[0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?:[A-Za-z0-9]{64}|[A-Za-z0-9+/]{86}==)(?![A-Za-z0-9+/_=-])"
        ),
        drawn=True,
    ),
    Rule(
        "password in a URL",
        b"://",
        re.compile(rb"[a-z][a-z0-9+.-]{1,24}://[^\s:/@\"'`<>{}$()]{0,64}:([^\s:/@\"'`<>{}$()\\]{3,128})@[A-Za-z0-9\[]"),
    ),
    Rule(
        "named secret",
        b"",
        re.compile(
            rb"(?i)"
            + _NAME
            + rb"[a-z0-9_]{0,12}[\"']?\]?\s{0,3}(?:[:=]|=>)\s{0,3}[bru]?[\"']?([A-Za-z0-9+/_.-]{16,256}={0,2})(?![A-Za-z0-9+/_.(\[-])"
        ),
        drawn=True,
    ),
)


def fingerprint_of(rule: str, secret: bytes) -> str:
    """What names a secret without telling it."""
    return hashlib.sha256(rule.encode() + b"\0" + secret).hexdigest()[:16]


def scan(place: str, content: bytes) -> Iterator[Found]:
    """Everything in `content` that a rule takes for a secret; text alone is looked at."""
    if b"\0" not in content[:8000]:
        for rule in RULES:
            yield from _by_rule(rule, place, content)


def _by_rule(rule: Rule, place: str, content: bytes) -> Iterator[Found]:
    if rule.hint not in content:
        return
    for match in rule.pattern.finditer(content):
        secret = match[1] if rule.pattern.groups else match[0]
        if not rule.drawn or _looks_drawn(secret):
            line = content.count(b"\n", 0, match.start()) + 1
            yield Found(rule.name, f"{place}:{line}", fingerprint_of(rule.name, secret))


def _looks_drawn(secret: bytes) -> bool:
    """Whether letters and digits are mixed as chance mixes them."""
    kinds = (re.search(rb"[0-9]", secret), re.search(rb"[A-Za-z]", secret))
    return all(kinds) and entropy(secret) >= ENTROPY_BITS_MIN


def entropy(text: bytes) -> float:
    """Bits per character, by how often each occurs."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def scan_files(root: Path, paths: Iterable[Path]) -> list[Found]:
    """Files as they lie there."""
    return [found for path in paths for found in scan(path.as_posix(), (root / path).read_bytes())]


def scan_history(root: Path) -> tuple[list[Found], int]:
    """Every version of every file that led to HEAD, and what was said at each commit; with the number of versions. A line that has been looked at is not looked at again.

    Raises:
        CalledProcessError: there is no history.
    """
    listed = _git(root, b"", "rev-list", "--objects", "HEAD").splitlines()
    pairs = [line.split(b" ", 1) for line in listed if b" " in line]
    names = {name: path.decode(errors="replace") for name, path in pairs}
    seen: set[bytes] = set()
    found = [*_scan_new("the words of a commit", _git(root, b"", "log", "--format=%B"), seen)]
    count = 0
    for name, content in _blobs(root, list(names)):
        count += 1
        found += _scan_new(f"{names[name]}@{name[:10].decode()}", content, seen)
    return found, count


def _scan_new(place: str, content: bytes, seen: set[bytes]) -> Iterator[Found]:
    """What is new in `content`, and all of it where a rule reads more than one line."""
    if b"\0" in content[:8000]:
        return
    lines = dict.fromkeys(content.split(b"\n"))
    fresh = [line for line in lines if line not in seen]
    seen.update(fresh)
    for rule in RULES:
        looked_at = content if rule.lines else b"\n".join(fresh)
        yield from (Found(rule.name, place, found.fingerprint) for found in _by_rule(rule, place, looked_at))


def _blobs(root: Path, names: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents; folders and what is larger than `BLOB_BYTES_MAX` are passed over."""
    kinds = _git(root, b"\n".join(names), "cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)")
    rows = [line.split() for line in kinds.splitlines()]
    blobs = [name for name, kind, size in rows if kind == b"blob" and int(size) <= BLOB_BYTES_MAX]
    for start in range(0, len(blobs), BLOBS_AT_ONCE):
        told = _git(root, b"\n".join(blobs[start : start + BLOBS_AT_ONCE]), "cat-file", "--batch")
        at = 0
        while at < len(told):
            head_end = told.index(b"\n", at)
            name, _, size = told[at:head_end].split()
            at = head_end + 1 + int(size) + 1
            yield name, told[head_end + 1 : at - 1]


def _git(root: Path, told: bytes, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=root, input=told, capture_output=True, check=True, timeout=120).stdout
