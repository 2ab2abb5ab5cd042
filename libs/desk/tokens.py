"""Tokens of the API: `bht_<id>_<256 random bits>`. A file keeps who may do what and the SHA-256 of each secret, never a secret.

    bulkhead token create ──▶ keys/api-tokens.json (0600, written whole under a lock) ◀── the gateway looks for changes twice a second

A fast hash is enough, because nobody can guess 256 random bits. An unknown id costs the same work as a known one and gets the same answer. A file that cannot be
believed (others may read it, it is no JSON) lets nobody in: the command line still can halt.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import msgspec
import structlog

from libs.runtime.nats_config import write_secret
from libs.runtime.private_files import is_exposed, mode_of

Scope = Literal["read", "operate", "admin", "alerts"]
Why = Literal["NO_TOKEN", "BAD_TOKEN", "EXPIRED", "REVOKED"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
TOKEN_FILE = Path("keys") / "api-tokens.json"
DAYS_MAX = 3650
LOOK_EVERY_NS = 500_000_000

_IMPLIED: dict[Scope, frozenset[Scope]] = {
    "read": frozenset({"read"}),
    "operate": frozenset({"read", "operate"}),
    "admin": frozenset({"read", "operate", "admin"}),
    "alerts": frozenset({"alerts"}),
}
_FORM = re.compile(r"bht_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,47}")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()
_DAY_S = 86_400
_log = structlog.get_logger(__name__)


class TokenError(Exception):
    """A token cannot be made, found or kept; the text says why, `cure` what to do."""

    def __init__(self, text: str, cure: str):
        super().__init__(text)
        self.cure = cure


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a token. Times are seconds since 1970 of the machine's clock; `revoked` 0: it is not."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str
    created: int
    expires: int
    revoked: int = 0

    def allows(self, scope: Scope) -> bool:
        """Whether it may do what asks for `scope`: admin may all that operate may, operate all that read may, alerts nothing else."""
        return any(scope in _IMPLIED[each] for each in self.scopes)

    def standing(self, now: int) -> Literal["valid", "expired", "revoked"]:
        """What it is worth at `now` (s)."""
        if self.revoked:
            return "revoked"
        return "valid" if now < self.expires else "expired"


class Turned(msgspec.Struct, frozen=True):
    """Nobody is let in, and why; `who` is a token's id where its secret was right, else ""."""

    why: Why
    who: str = ""


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    version: Literal[1]
    tokens: tuple[Token, ...] = ()


def token_file(home: Path) -> Path:
    """Where a stack keeps its tokens, if nobody says otherwise."""
    return home / TOKEN_FILE


def minted(name: str, scopes: tuple[Scope, ...], days: int, now: int) -> tuple[Token, str]:
    """A new token and its text, which exists only here; `now` in s.

    Raises:
        TokenError: the name, the scopes or the days are none.
    """
    if not _NAME.fullmatch(name):
        raise TokenError("a name has 1 to 48 letters, digits, and _ . @ -", "name it after who will hold it")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise TokenError(f"a scope is one of {', '.join(SCOPES)}", "say what it is for")
    if not 1 <= days <= DAYS_MAX:
        raise TokenError(f"a token is valid for 1 to {DAYS_MAX} days", "say for how long it is needed")
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = Token(
        id=token_id,
        name=name,
        scopes=tuple(dict.fromkeys(scopes)),
        sha256=_digest(secret),
        created=now,
        expires=now + days * _DAY_S,
    )
    return token, f"bht_{token_id}_{secret}"


class TokenStore:
    """The file, for those who change it."""

    def __init__(self, path: Path):
        self.path = path

    def tokens(self) -> tuple[Token, ...]:
        """Every token there is or was.

        Raises:
            TokenError: the file cannot be believed.
        """
        try:
            return _read(self.path)
        except FileNotFoundError:
            return ()

    def create(self, name: str, scopes: tuple[Scope, ...], days: int, now: int) -> tuple[Token, str]:
        """Make a token and keep it; returns it and its text.

        Raises:
            TokenError: it cannot be made or kept.
        """
        token, text = minted(name, scopes, days, now)
        with self._locked():
            self._write((*self.tokens(), token))
        return token, text

    def revoke(self, token_id: str, now: int) -> Token:
        """It lets nobody in any more; to revoke it again changes nothing.

        Raises:
            TokenError: there is none with this id, or it cannot be kept.
        """
        with self._locked():
            tokens = self.tokens()
            found = next((each for each in tokens if each.id == token_id), None)
            if found is None:
                raise TokenError(f"no token has the id {token_id[:40]!r}", "see `bulkhead token list`")
            if found.revoked:
                return found
            revoked = msgspec.structs.replace(found, revoked=now)
            self._write(tuple(revoked if each is found else each for each in tokens))
        return revoked

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TokenError(f"{self.path} cannot be written ({error.strerror})", "see whose folder it is") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        try:
            write_secret(self.path, msgspec.json.format(msgspec.json.encode(_Kept(1, tokens))) + b"\n")
        except OSError as error:
            raise TokenError(f"{self.path} cannot be written ({error.strerror})", "see whose folder it is") from None


class TokenBook:
    """The file, for who lets people in: learns of a change without being told."""

    def __init__(self, path: Path):
        self.path = path
        self.trouble = ""
        self._tokens: dict[str, Token] = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = -LOOK_EVERY_NS

    def check(self, text: str, now: int, clock_ns: int) -> Token | Turned:
        """Whose token this is at `now` (s), by the file as it was at most half a second before `clock_ns` (monotonic)."""
        self.look(clock_ns)
        if not text:
            return Turned("NO_TOKEN")
        form = _FORM.fullmatch(text)
        token_id, secret = (form[1], form[2]) if form else ("", "nothing")
        token = self._tokens.get(token_id)
        is_right = hmac.compare_digest(_digest(secret), token.sha256 if token is not None else _NOBODY)
        if token is None or not is_right:
            return Turned("BAD_TOKEN")
        match token.standing(now):
            case "revoked":
                return Turned("REVOKED", token.id)
            case "expired":
                return Turned("EXPIRED", token.id)
        return token

    def holds(self, token: Token, now: int, clock_ns: int) -> bool:
        """Whether somebody who was let in with `token` may stay: it is valid, and still for the same."""
        self.look(clock_ns)
        found = self._tokens.get(token.id)
        return found == token and token.standing(now) == "valid"

    def look(self, clock_ns: int) -> None:
        """Read the file if it is another than before; `trouble` says why nobody is let in, "" if there is no such reason."""
        if clock_ns - self._looked_at < LOOK_EVERY_NS:
            return
        self._looked_at = clock_ns
        try:
            status = self.path.stat()
        except OSError as error:
            self._forget("" if isinstance(error, FileNotFoundError) else f"it cannot be looked at ({error.strerror})")
            return
        seen = (status.st_ino, status.st_mtime_ns, status.st_mode)
        if seen == self._seen:
            return
        try:
            self._tokens = {token.id: token for token in _read(self.path)}
            self._seen, self.trouble = seen, ""
        except TokenError as error:
            self._forget(str(error))
            self._seen = seen
        except OSError as error:  # of this moment, perhaps: it is tried again
            self._forget(f"it cannot be read ({error.strerror})")

    def _forget(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _log.warning("nobody_is_let_in", reason=trouble)
        self._tokens, self._seen, self.trouble = {}, None, trouble


def _read(path: Path) -> tuple[Token, ...]:
    status = path.stat()
    if is_exposed(status):
        raise TokenError(f"{path} is open to others (mode {mode_of(status)})", f"chmod 600 {path}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept).tokens
    except msgspec.MsgspecError as error:
        raise TokenError(
            f"{path} is no list of tokens: {error}", "bring a copy back, or delete it and make new tokens"
        ) from None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
