"""Changing a secret of a deployment that runs: a new one beside the old one, whoever uses it started again, the old one gone.

    rotate ledger ──▶ new ledger.nk, the bus lets in both ──▶ (reload bus, restart ledger) ──▶ rotate ledger --finish ──▶ (reload bus): the old key opens nothing

The bus is never restarted for it, and nobody but the one whose key it is. What has no such overlap says so in its steps: for some seconds nothing new is entered,
while stops rest at the venue.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from libs.runtime.nats_config import key_file, users_of
from libs.runtime.registry import contracts
from services.cli.deploy import fleet
from services.cli.deploy.key_files import FORMER, SERVERS, make_keys
from services.cli.exit_codes import FINDING, USAGE, Failure

DATABASE, WATCHER, GATE = "database", "database-watcher", "gate"
_TLS = {f"{server}-tls": server for server in SERVERS}
RELOAD_BUS = "docker compose kill -s HUP nats"


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What was written anew, and what has to be done now, in order."""

    files: tuple[str, ...]
    steps: tuple[str, ...]


def rotatable() -> tuple[str, ...]:
    """Everything that has a secret of its own to change."""
    return (*users_of(contracts()), *_TLS, DATABASE, WATCHER, GATE)


def rotate(home: Path, what: str) -> Rotated:
    """Make a new secret for `what`, and keep the old one valid as long as something may still use it.

    Raises:
        Failure: nobody is called so; nothing was deployed from this folder; or a change of the same key has not been finished.
        KeysError, StackError: a file is readable by others, or is not what its name says.
    """
    _refuse_unknown(home, what)
    if what in _TLS:
        return _certificate(home, _TLS[what])
    if what in (DATABASE, WATCHER, GATE):
        return _without_overlap(home, what)
    current = key_file(home, what)
    former = _former(home, what)
    if former.exists():
        cure = f"bulkhead deploy rotate {what} --finish, or bring the old key back by hand: {former} over {current}"
        raise Failure(FINDING, f"{what} has a former key that is still let in: its last change was not finished", cure)
    current.replace(former)
    made = make_keys(home)
    return Rotated(files=made.new, steps=(RELOAD_BUS, _restart(what), f"bulkhead deploy rotate {what} --finish"))


def finish(home: Path, what: str) -> Rotated:
    """Let nobody in with the former key of `what` any more.

    Raises:
        Failure: no change of it has begun.
    """
    _refuse_unknown(home, what)
    former = _former(home, what)
    if not former.exists():
        raise Failure(FINDING, f"{what} has no former key: nothing is to be finished", f"bulkhead deploy rotate {what}")
    former.unlink()
    return Rotated(files=make_keys(home).new, steps=(RELOAD_BUS,))


def _refuse_unknown(home: Path, what: str) -> None:
    if what not in rotatable():
        raise Failure(USAGE, f"{what!r} has no secret of its own", f"one of {', '.join(rotatable())}")
    if not (home / "keys").is_dir():
        raise Failure(
            USAGE,
            f"nothing was deployed from {home}",
            "name its folder with --home, or begin with `bulkhead deploy keys`",
        )


def _former(home: Path, user: str) -> Path:
    path = key_file(home, user)
    return path.with_name(f"{path.name}{FORMER}")


def _certificate(home: Path, server: str) -> Rotated:
    """Everybody verifies it by the authority, which stays: a server may show another certificate at any time."""
    for name in SERVERS[server]:
        (home / "keys" / name).unlink(missing_ok=True)
    step = RELOAD_BUS if server == "nats" else _restart(server)
    return Rotated(files=make_keys(home).new, steps=(step,))


def _without_overlap(home: Path, what: str) -> Rotated:
    if what == DATABASE:
        (home / "keys" / fleet.DATABASE_URL).unlink(missing_ok=True)
        steps = (_restart("open"), _restart("ledger"))
    elif what == WATCHER:
        (home / "keys" / fleet.WATCHER_PASSWORD).unlink(missing_ok=True)
        steps = (_restart("open"), _restart("postgres-exporter"))
    else:
        (home / "keys" / fleet.GATE_KEY).unlink(missing_ok=True)
        steps = (_restart("order-executor risk-gate"),)
    return Rotated(files=make_keys(home).new, steps=steps)


def _restart(services: str) -> str:
    return f"docker compose up -d --no-deps --force-recreate {services}"
