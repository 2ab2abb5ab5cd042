"""No secret is in this project, nor was one ever: files and history are read with rules of our own, and each rule finds what it is for.

The secrets below are drawn when the test runs, so that none stands here.
"""

from __future__ import annotations

import base64
import string
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import pytest

from tests.style.secret_excuses import EXCUSED
from tests.style.secret_scan import RULES, Found, entropy, fingerprint_of, scan, scan_files, scan_history
from tests.style.tree import ROOT, files

ALNUM = string.ascii_letters + string.digits
BASE32 = string.ascii_uppercase + "234567"
PEM = "-----BEGIN {}PRIVATE KEY-----"


def drawn(count: int, alphabet: str = ALNUM) -> str:
    """As a secret is: by chance, here from a seed."""
    random = Random(count)
    return "".join(random.choice(alphabet) for _ in range(count))


def coded(words: str) -> str:
    return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


PLANTED: dict[str, list[Callable[[], str]]] = {
    "private key": [
        lambda: f"{PEM.format('')}\n{drawn(64)}\n",
        lambda: f"{PEM.format('OPENSSH ')}\\n{drawn(64)}\\n",
        lambda: f'"{PEM.format("EC ")}"\n    "{drawn(64)}"',
    ],
    "age identity": [lambda: "AGE-SECRET-KEY-" + "1" + drawn(58, string.ascii_uppercase + string.digits)],
    "nkey seed": [lambda: "S" + "U" + drawn(56, BASE32), lambda: f"key=S{'A' + drawn(56, BASE32)}\n"],
    "bot token": [lambda: f"https://x/bot{7000000001}:" + "AA" + drawn(33), lambda: f"{123456789}:" + "AA" + drawn(33)],
    "web token": [lambda: ".".join([coded('{"alg":"HS256"}'), coded('{"sub":"1234567890"}'), drawn(43)])],
    "our own token": [lambda: f"bht_{drawn(12, string.ascii_lowercase)}_{drawn(43)}"],
    "issued key": [
        lambda: "sk-" + "proj-" + drawn(40),
        lambda: "gh" + "p_" + drawn(36),
        lambda: "AK" + "IA" + drawn(16, string.ascii_uppercase + string.digits),
        lambda: "pypi" + "-" + drawn(80),
    ],
    "venue key": [lambda: drawn(64), lambda: f"KEY = '{drawn(86)}=='"],
    "password in a URL": [
        lambda: f"postgresql+psycopg://bulkhead:{drawn(12)}@db:5432/x",
        lambda: f"nats://u:{drawn(8)}@127.0.0.1:4222",
        lambda: f"DSN={'redis'}://:{drawn(9)}@cache",
    ],
    "named secret": [
        lambda: f"BINANCE_API_KEY={drawn(32)}",
        lambda: f'api_secret = "{drawn(24)}"',
        lambda: f'{{"passphrase": "{drawn(20)}"}}',
        lambda: f"    signing_key: {drawn(44)}=",
        lambda: f"config['token'] = '{drawn(30)}'",
    ],
}
"""For each rule, what it must find."""

RESEMBLING = (
    "a -----BEGIN PRIVATE KEY----- without its key, and -----BEGIN CERTIFICATE-----\nMIIB",
    "age1" + "q" * 58,
    "SUBJECTS = ('ORDERS', 'SUMMARY')",
    "at 12:34:56 of 2026-11-27, 1234567:890",
    "eyJ" + "a" * 12 + ".only-two-parts",
    "bht_<id>_<secret>, sk-..., gh" + "p_",
    "sha256:" + "0123456789abcdef" * 4,
    "https://github.com/nats-io/nats-server and http://127.0.0.1:8080/x@y",
    "postgresql://bulkhead:<password>@db, nats://user:$PASSWORD@bus, postgres://{user}:{password}@db",
    'token_file = "/state/tokens/api-tokens.json"',
    "password = settings.database_password",
    "API_KEY=" + "a" * 40,
    'secret: str = Field(description="where the venue\'s secret is read from")',
)
"""What no rule may take for a secret."""


def rules_that_find(text: str) -> set[str]:
    return {each.rule for each in scan("x", text.encode())}


@cache
def in_files() -> list[Found]:
    return scan_files(ROOT, files())


@pytest.mark.parametrize(("rule", "made"), [(rule, each) for rule, all_of in PLANTED.items() for each in all_of])
def test_a_planted_secret_is_found(rule: str, made: Callable[[], str]) -> None:
    """By the rule that is for it, in the middle of other things."""
    assert rule in rules_that_find(f"first line\n{made()}\nlast line\n")


@pytest.mark.parametrize("text", RESEMBLING)
def test_what_resembles_a_secret_is_none(text: str) -> None:
    """A scan that cries wolf is switched off."""
    assert rules_that_find(text) == set()


def test_every_rule_is_tried() -> None:
    """A rule without an example may as well find nothing."""
    assert {rule.name for rule in RULES} == set(PLANTED)


def test_a_finding_tells_no_secret() -> None:
    """Where, by which rule, and a fingerprint: a log of the scan may be shown to anybody."""
    secret = drawn(32)
    (found,) = scan("x.env", f"\nAPI_KEY={secret}\n".encode())
    assert found == ("named secret", "x.env:2", fingerprint_of("named secret", secret.encode()))
    assert secret not in repr(found)


def test_no_file_holds_a_secret() -> None:
    """Nothing that git knows, or would add, tests and docs among it. What is none is excused one by one."""
    assert [each for each in in_files() if each.fingerprint not in EXCUSED] == []


def test_no_secret_was_ever_committed() -> None:
    """A key that was taken out is still in the history, and has to be changed; nothing of that kind is there, and no excuse is left over."""
    try:
        found, versions = scan_history(ROOT)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no history of git is here")
    assert versions >= len([path for path in files() if path.suffix == ".py"]) or _is_shallow()
    assert [each for each in found if each.fingerprint not in EXCUSED] == []
    present = {each.fingerprint for each in [*found, *in_files()]}
    assert set(EXCUSED) - present == set() or _is_shallow()


def _is_shallow() -> bool:
    told = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() == "true"


def test_a_secret_that_was_taken_out_again_is_found(tmp_path: Path) -> None:
    """In a file of an old commit, and in the words of one."""

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    for text, words in ((f"API_KEY={drawn(32)}\n", "first"), ("", f"uses sk-{drawn(40)}")):
        (tmp_path / "conf.env").write_text(text)
        git("add", "-A")
        git("commit", "-q", "-m", words)
    found, _ = scan_history(tmp_path)
    assert {each.rule for each in found} == {"named secret", "issued key"}
    assert scan_files(tmp_path, [Path("conf.env")]) == []


def test_excuses_are_for_one_text_and_say_why() -> None:
    """A fingerprint belongs to a rule and a text; another secret in the same place is found."""
    assert [each for each, why in EXCUSED.items() if len(each) != 16 or len(why) < 20] == []
    assert fingerprint_of("named secret", b"a") != fingerprint_of("named secret", b"b")
    assert entropy(b"aaaa") == 0
