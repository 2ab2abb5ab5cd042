"""Who holds a token, and what it is worth."""

from __future__ import annotations

import multiprocessing
import resource
import stat
from pathlib import Path

import msgspec
import pytest

from libs.desk.tokens import SCOPES, Token, TokenBook, TokenError, TokenStore, Turned, minted, token_file
from libs.runtime.redaction import redact

NOW = 1_800_000_000
DAY = 86_400
LATER = 10**12
"""A clock (ns) that has gone on enough for the file to be looked at again."""


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(token_file(tmp_path))


def book_of(store: TokenStore) -> TokenBook:
    return TokenBook(store.path)


def test_a_token_is_known_by_its_secret_alone(store: TokenStore) -> None:
    """The file has the digest, whoever has read it cannot come in with it."""
    token, text = store.create("ada", ("operate",), 1, NOW)
    kept = store.path.read_text()
    assert text.split("_", 2)[2] not in kept
    assert book_of(store).check(text, NOW, 0) == token
    assert book_of(store).check(f"bht_{token.id}_{token.sha256[:43]}", NOW, 0) == Turned("BAD_TOKEN")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "bht_",
        "bht_000000000000_" + "a" * 43,
        "bht_../../x_" + "a" * 43,
        "bht_0000000000é0_" + "a" * 43,
        "a" * 10_000,
    ],
)
def test_what_is_no_token_is_as_bad_as_an_unknown_one(store: TokenStore, text: str) -> None:
    """No answer tells a stranger which ids there are."""
    store.create("ada", ("read",), 1, NOW)
    assert book_of(store).check(text, NOW, 0) == Turned("BAD_TOKEN")


def test_nothing_is_no_token(store: TokenStore) -> None:
    """Who brings none is told apart from who guesses."""
    assert book_of(store).check("", NOW, 0) == Turned("NO_TOKEN")


def test_a_token_ends(store: TokenStore) -> None:
    """By its day, or by a word; only who holds the secret learns that there was such a token."""
    token, text = store.create("ada", ("read",), 2, NOW)
    book = book_of(store)
    assert book.check(text, NOW + 2 * DAY - 1, 0) == token
    assert book.check(text, NOW + 2 * DAY, 0) == Turned("EXPIRED", token.id)
    assert book.check(text[:-1] + ("A" if text[-1] != "A" else "B"), NOW + 3 * DAY, 0) == Turned("BAD_TOKEN")
    store.revoke(token.id, NOW + 5)
    assert book.check(text, NOW + 6, LATER) == Turned("REVOKED", token.id)
    assert store.revoke(token.id, NOW + 9).revoked == NOW + 5
    assert not book.holds(token, NOW + 6, 2 * LATER)


def test_who_may_do_less_now_does_not_stay_as_before(store: TokenStore) -> None:
    """A line that was open when the token's scopes were taken away ends like one of a revoked token."""
    token, _ = store.create("ada", ("admin",), 2, NOW)
    book = book_of(store)
    assert not book.holds(token, NOW + 2 * DAY, 0)
    assert book.holds(token, NOW, LATER)
    store.path.write_text(store.path.read_text().replace('"admin"', '"alerts"'))
    assert not book.holds(token, NOW, 2 * LATER)


def test_a_change_of_the_file_is_known_within_half_a_second(store: TokenStore) -> None:
    """A new token works and a revoked one ends without a restart."""
    book = book_of(store)
    assert book.check("bht_000000000000_" + "a" * 43, NOW, 0) == Turned("BAD_TOKEN")
    token, text = store.create("ada", ("read",), 1, NOW)
    assert book.check(text, NOW, 400_000_000) == Turned("BAD_TOKEN")
    assert book.check(text, NOW, 500_000_000) == token


@pytest.mark.parametrize("how", ["open to others", "no json", "unknown field"])
def test_a_file_that_cannot_be_believed_lets_nobody_in(store: TokenStore, how: str) -> None:
    """Whoever could write it could have let himself in."""
    _, text = store.create("ada", ("admin",), 1, NOW)
    book = book_of(store)
    assert isinstance(book.check(text, NOW, 0), Token)
    match how:
        case "open to others":
            store.path.chmod(0o644)
        case "no json":
            store.path.write_text("{")
        case "unknown field":
            store.path.write_text('{"version":1,"tokens":[],"more":1}')
    assert book.check(text, NOW, LATER) == Turned("BAD_TOKEN")
    assert str(store.path) in book.trouble
    with pytest.raises(TokenError):
        store.create("eve", ("admin",), 1, NOW)


def test_a_file_that_could_not_be_opened_is_read_as_soon_as_it_can(store: TokenStore) -> None:
    """A process that has run out of open files for a moment must not lock everybody out until somebody touches the file."""
    token, text = store.create("ada", ("admin",), 1, NOW)
    book = book_of(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        found = book.check(text, NOW, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (found, bool(book.trouble)) == (Turned("BAD_TOKEN"), True)
    assert (book.check(text, NOW, LATER), book.trouble) == (token, "")


def test_scopes_contain_each_other_but_for_alerts() -> None:
    """Who may operate may look; who brings alerts may do nothing else; admin does not forge alerts."""
    allowed = {
        scope: {wanted for wanted in SCOPES if minted("a", (scope,), 1, NOW)[0].allows(wanted)} for scope in SCOPES
    }
    assert allowed == {
        "read": {"read"},
        "operate": {"read", "operate"},
        "admin": {"read", "operate", "admin"},
        "alerts": {"alerts"},
    }


@pytest.mark.parametrize(
    ("name", "scope", "days"),
    [("", "read", 1), ("a b", "read", 1), ("a", "root", 1), ("a", "read", 0), ("a", "read", 9999)],
)
def test_what_makes_no_token_is_refused(store: TokenStore, name: str, scope: str, days: int) -> None:
    """With a word of what would."""
    with pytest.raises(TokenError) as caught:
        store.create(name, (scope,), days, NOW)  # type: ignore[arg-type]
    assert caught.value.cure
    assert store.tokens() == ()


def test_an_unknown_id_cannot_be_revoked(store: TokenStore) -> None:
    """A typing error must not look like a token that is gone."""
    with pytest.raises(TokenError, match="no token has the id"):
        store.revoke("000000000000", NOW)


def make_some(path: Path, name: str) -> None:
    for _ in range(10):
        TokenStore(path).create(name, ("read",), 1, NOW)


def test_two_who_make_tokens_at_once_both_keep_theirs(store: TokenStore) -> None:
    """The file is written whole, and by one at a time."""
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=make_some, args=(store.path, name)) for name in ("ada", "bob")]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    names = [token.name for token in store.tokens()]
    assert (names.count("ada"), names.count("bob")) == (10, 10)


def test_a_token_in_a_text_is_masked(store: TokenStore) -> None:
    """Whoever pastes a token into a log line, has not told it."""
    token, text = store.create("ada", ("read",), 1, NOW)
    assert redact(f"curl {text} failed") == f"curl bht_{token.id}_[redacted] failed"


def test_the_file_says_nothing_but_what_it_must(store: TokenStore) -> None:
    """Id, name, scopes, digest and times."""
    store.create("ada", ("read", "alerts"), 1, NOW)
    (kept,) = msgspec.json.decode(store.path.read_bytes())["tokens"]
    assert kept == kept | {
        "name": "ada",
        "scopes": ["read", "alerts"],
        "created": NOW,
        "expires": NOW + DAY,
        "revoked": 0,
    }
    assert set(kept) == {"id", "name", "scopes", "sha256", "created", "expires", "revoked"}
