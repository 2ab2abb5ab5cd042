"""What has to be there before the first service of a deployment starts, made once and held against this code at every start.

    bus answers ─▶ nothing of the log is lost ─▶ other code than last time: a copy, and can it read all? ─▶ streams and durables ─▶ tables and roles ─▶ clock ─▶ the book's first event ─▶ map for the command line

Runs as a job of its own, as `admin` of the bus and as the owner of the database: nobody who runs all day may do what it does. Run again it changes nothing.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from pydantic import Field
from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from libs.research.certificate import Certificate
from libs.runtime.bus import Bus
from libs.runtime.clock import open_clock
from libs.runtime.nats_config import ADMIN_USER, connect_options
from libs.runtime.provision import provision
from libs.runtime.registry import contracts
from libs.runtime.settings import ServiceSettings
from libs.runtime.snapshots import SnapshotFolder
from libs.runtime.streams import StreamLimits
from services.cli.change import admit_change, change_rules
from services.cli.deploy import fleet
from services.cli.exit_codes import CONFIG, UNAVAILABLE, Failure
from services.cli.genesis import declare_genesis, refuse_other_world
from services.cli.lost_log import refuse_lost_log
from services.cli.place import MAP_FILE, Place
from services.cli.stack import StackSettings
from services.cli.unlock import certificate_in_force, declare_unlocked

WAIT_S_MAX = 60.0
"""How long bus, database and clock may take to come up beside us."""
TRY_EVERY_S = 0.5
MONITOR = "pg_monitor"
"""Postgres' own role for who watches: statistics and settings, and no table of anybody."""
WATCHER_CONNECTIONS_MAX = 3
WATERMARK_OF = "deploy"
"""Under which name we remember how long the log was: a bus whose disk is new would otherwise be given an empty log to go on with."""
Say = Callable[[str], None]


class OpeningSettings(ServiceSettings):
    """Where the bus is (as for every service), and where the tables' owner's URL stands."""

    database_owner_url_file: Path | None = Field(
        default=None,
        description="a file with the database URL of the owner of the tables, who makes and changes them; none: the ledger keeps SQLite for itself",
    )
    database_url_file: Path | None = Field(
        default=None, description="a file with the URL that the ledger uses: its login is made as it says there"
    )
    database_watcher_password_file: Path | None = Field(
        default=None,
        description="a file with the password of Postgres' exporter, who sees what the database counts and no table; none: it has no login",
    )


async def open_deployment(stack: StackSettings, settings: OpeningSettings, say: Say) -> None:
    """Make and check all of it; returns when services may start.

    Raises:
        Failure: something does not come up, or refuses; the text says which.
        StackError, ProvisionError, OtherWorld, GenesisError, CertificateRefused: as for `bulkhead up`.
    """
    certificate = certificate_in_force(stack, time.time_ns())
    async with _admin(settings) as client:
        await refuse_lost_log(client, settings.home)
        place = Place(home=settings.home, nats_url=settings.nats_url, stream=settings.log_stream)
        await admit_change(client, place, change_rules(stack), say)
        for line in await provision(client, contracts(), StreamLimits(replicas=settings.log_replicas)):
            say(line)
    if settings.database_owner_url_file is not None:
        urls = settings.database_owner_url_file, settings.database_url_file
        await asyncio.to_thread(open_database, *urls, say, settings.database_watcher_password_file)
    length = await _begin_book(stack, settings, certificate, say)
    SnapshotFolder(settings.home, WATERMARK_OF).save_watermark(settings.log_stream, length)
    _write_map(stack, settings)
    say("open: services may start")


# --- the bus ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _connected(settings: OpeningSettings, user: str) -> AsyncIterator[Client]:
    client = Client()
    options = connect_options(settings.home, user, settings.nats_url)
    await client.connect(**{**options, "allow_reconnect": False})
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def _admin(settings: OpeningSettings) -> AsyncIterator[Client]:
    """Connected as admin, once the bus answers.

    Raises:
        Failure: it does not, for as long as we wait.
    """
    until = time.monotonic() + WAIT_S_MAX
    while True:
        try:
            async with _connected(settings, ADMIN_USER) as client:
                yield client
                return
        except (OSError, NatsError, TimeoutError) as error:
            if time.monotonic() > until:
                cure = "see what the bus says, and whether the certificates and keys here are those it was given"
                raise Failure(
                    UNAVAILABLE, f"{settings.nats_url} does not let us in: {type(error).__name__} {error}", cure
                ) from error
        await asyncio.sleep(TRY_EVERY_S)


async def _begin_book(
    stack: StackSettings, settings: OpeningSettings, certificate: Certificate | None, say: Say
) -> int:
    """The book has begun; returns how long the log is."""
    clock = open_clock(settings.clock_url)
    await clock.connect(WAIT_S_MAX)
    try:
        async with _connected(settings, fleet.CLI) as client:
            await refuse_other_world(client, book=stack.book, mode=stack.mode)
            begun = await declare_genesis(client, book=stack.book, mode=stack.mode, author=_author(), now=clock.now())
            if begun is not None:
                say(f"the book {stack.book!r} begins, mode {stack.mode}")
            if certificate is not None:
                days = stack.certificate_days_max
                await declare_unlocked(client, certificate, author=_author(), days_max=days, now=clock.now())
            return await Bus(client, settings.log_stream).last_seq()
    finally:
        await clock.close()


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return "deploy"


# --- the database -------------------------------------------------------------------------------------------------


def open_database(owner_url: Path, ledger_url: Path | None, say: Say, watcher_password: Path | None = None) -> None:
    """Tables up to date, roles granted, the ledger's login with the password that its own URL holds (both are files that hold a URL), and the exporter's.

    Raises:
        Failure: the database does not answer for a minute, or refuses.
    """
    ledger, roles, schema = (
        import_module(f"services.ledger.adapters.{name}") for name in ("database", "roles", "schema")
    )
    owner = _url_in(owner_url)
    engine: Engine = ledger.open_engine(owner)
    try:
        _wait_for(engine, owner)
        ledger.migrate(engine)
        roles.grant_roles(engine)
        if ledger_url is not None:
            ledger_login = _url_in(ledger_url)
            _make_login(engine, ledger_login.username or "", ledger_login.password or "", roles.LEDGER)
        if watcher_password is not None:
            _make_login(engine, fleet.WATCHER_LOGIN, watcher_password.read_text().strip(), MONITOR)
            _confine(engine, fleet.WATCHER_LOGIN)
        found = ledger.revision_of(engine)
    except schema.SchemaTooNew as error:
        raise Failure(CONFIG, str(error), "docs/ROLLBACK.md says which ways back there are") from error
    except SQLAlchemyError as error:
        cure = "see what the database says; the owner of the tables must be allowed to make tables and roles"
        raise Failure(UNAVAILABLE, f"{owner.host} refuses: {type(error).__name__}", cure) from error
    finally:
        engine.dispose()
    newer = (
        ""
        if found == ledger.newest_revision()
        else f", made by a later release; this code ({ledger.newest_revision()}) runs on them"
    )
    say(f"the tables are at {found}{newer}")


def _wait_for(engine: Engine, url: URL) -> None:
    until = time.monotonic() + WAIT_S_MAX
    while True:
        try:
            with engine.connect():
                return
        except SQLAlchemyError as error:
            if time.monotonic() > until:
                cure = "see what the database says, and whether its certificate and our authority belong together"
                raise Failure(UNAVAILABLE, f"{url.host} does not let us in: {type(error).__name__}", cure) from error
        time.sleep(TRY_EVERY_S)


def _make_login(engine: Engine, name: str, password: str, role: str) -> None:
    """The password is set at every run: a new one in the file is a new one in the database, and nobody has to type it."""
    with engine.begin() as connection:
        quoted = connection.dialect.identifier_preparer.quote(name)
        there = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": name}).first()
        # DDL takes no parameters: the server quotes the password for us
        secret = connection.execute(text("SELECT quote_literal(:password)"), {"password": password}).scalar_one()
        verb = "ALTER" if there else "CREATE"
        connection.exec_driver_sql(f"{verb} ROLE {quoted} LOGIN PASSWORD {secret}".replace("%", "%%"))
        connection.exec_driver_sql(f"GRANT {role} TO {quoted}")


def _confine(engine: Engine, name: str) -> None:
    """Whoever only looks can only look, and cannot use up the connections of who works."""
    quoted = engine.dialect.identifier_preparer.quote(name)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER ROLE {quoted} CONNECTION LIMIT {WATCHER_CONNECTIONS_MAX}")
        connection.exec_driver_sql(f"ALTER ROLE {quoted} SET default_transaction_read_only = on")
        connection.exec_driver_sql(f"ALTER ROLE {quoted} SET statement_timeout = '5s'")


def _url_in(path: Path) -> URL:
    url_in: Any = import_module("services.ledger.settings").url_in
    found: URL = url_in(path.read_text(), str(path))
    return found


# --- the map ------------------------------------------------------------------------------------------------------


def _write_map(stack: StackSettings, settings: OpeningSettings) -> None:
    """Where everything is, for the command line, which shares this state folder."""
    services = {
        each.service: f"http://{each.service}:{fleet.HTTP_PORT}" for each in fleet.members() if not each.is_optional
    }
    venue = f"http://{fleet.VENUE}:{fleet.SIM_PORT}"
    found = {
        "nats_url": settings.nats_url,
        "clock_url": settings.clock_url,
        "mode": stack.mode,
        "venue_url": venue if stack.has_own_venue else "",
        "market_url": "" if stack.is_simulated else stack.feed_url,
        "services": services,
    }
    draft = settings.home / f"{MAP_FILE}.draft"
    draft.write_text(json.dumps(found, indent=2) + "\n")
    draft.replace(settings.home / MAP_FILE)
