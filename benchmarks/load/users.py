"""Locust's side: the users, and the run. A process of its own with locust in its environment (the package's head says why).

    python -m benchmarks.load.users '<Told as JSON>'       prints MEASURING when the window begins, then one line of JSON (`Heard`)

A new kind of user, such as one of the HTTP API, is a class here and a line in `USERS`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import gevent
import msgspec
from locust import FastHttpUser, User, constant, constant_pacing, task
from locust.env import Environment

from benchmarks.load.event_path import EventPath, Staleness
from benchmarks.load.told import MEASURING, Heard, Row, Told
from benchmarks.load.wire import StoredMessage, Wire, WireError
from benchmarks.stamps import nanoseconds
from libs.common.codec import decode_from
from libs.common.ids import derive_id
from libs.common.messages import FeedMarks, MacroOverrideCommanded, TradePrinted
from libs.common.subjects import subject_of, writer_filter

TRADING, MARKET = "TRADING_0001", "MARKET"
MARKS = f"{FeedMarks.said_by}.{FeedMarks.suffix}"
OPERATOR = "ops.cli"
MILLISECOND = 1_000_000
IDLE_S = 0.02
RECONNECT_S = 0.5
SAMPLED_INSTRUMENTS = 5
CATCH_UP_S_MAX = 60.0
T = TypeVar("T")


class BusUser(User):
    """A user with a connection of his own to nats-server; what fails is a failure in Locust's books, and he connects again."""

    abstract = True
    as_user: ClassVar[str] = "observer"
    told: ClassVar[Told]

    def on_start(self) -> None:
        """Not connected yet."""
        self._wire: Wire | None = None

    def on_stop(self) -> None:
        """Leave."""
        if self._wire is not None:
            self._wire.close()

    def ask(self, group: str, name: str, question: Callable[[Wire], T], *, counts: bool = True) -> T | None:
        """Ask the bus; `counts`: the time of the answer is a sample of this name. None: it failed (or nothing is there)."""
        began = time.perf_counter()
        try:
            if self._wire is None:
                self._wire = Wire(Path(self.told.home), self.told.nats_url, self.as_user)
            found = question(self._wire)
        except (OSError, WireError, ValueError) as error:
            self._fire(group, name, (time.perf_counter() - began) * 1e3, error)
            if self._wire is not None:
                self._wire.close()
            self._wire = None
            gevent.sleep(RECONNECT_S)
            return None
        if counts:
            self.sample(group, name, (time.perf_counter() - began) * 1e3)
        return found

    def sample(self, group: str, name: str, milliseconds: float) -> None:
        """One measurement."""
        self._fire(group, name, milliseconds, None)

    def _fire(self, group: str, name: str, milliseconds: float, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type=group,
            name=name,
            response_time=max(0.0, milliseconds),
            response_length=0,
            exception=error,
            context={},
        )


class LogFollower(BusUser):
    """Reads the whole log message by message, and tells what `EventPath` makes of the server's time stamps."""

    fixed_count = 1
    wait_time = constant(0)
    path: ClassVar[EventPath]
    seq: ClassVar[int] = 0
    stored_ns: ClassVar[int] = 0
    is_at_the_end: ClassVar[bool] = False

    @task
    def follow(self) -> None:
        """The next message."""
        cls = type(self)
        found = self.ask("read", "the log", lambda wire: _next(wire, cls.seq + 1), counts=False)
        cls.is_at_the_end = found is None
        if found is None:
            gevent.sleep(IDLE_S)
            return
        cls.seq, cls.stored_ns = found.seq, nanoseconds(found.at)
        for group, name, milliseconds in self.path.take(cls.stored_ns, decode_from(found.subject, found.payload)):
            self.sample(group, name, milliseconds)


class PriceReader(BusUser):
    """Looks once a second what everything costs, as a console does."""

    fixed_count = 10
    wait_time = constant_pacing(1.0)

    @task
    def look(self) -> None:
        """The newest prices, and how old they are by the time they are here."""
        found = self.ask(
            "read", "the newest prices out of the log", lambda wire: wire.stored(TRADING, last_by_subj=MARKS)
        )
        if found is not None:
            said = decode_from(found.subject, found.payload)
            assert isinstance(said, FeedMarks), found.subject
            age = time.time_ns() - self.told.time.wall(said.as_of)
            self.sample("read", "age of the newest prices, read", age / MILLISECOND)


class MarketReader(BusUser):
    """Compares when trades of a few instruments happened at the venue with when the feed read them (both the venue's clock)."""

    fixed_count = 1
    wait_time = constant_pacing(0.5)

    def on_start(self) -> None:
        """Instruments from the whole of the list."""
        super().on_start()
        names = self.told.instruments
        self._seen = dict.fromkeys(names[:: max(1, len(names) // SAMPLED_INSTRUMENTS)], 0)

    @task
    def compare(self) -> None:
        """Their newest trades."""
        for instrument, seen in self._seen.items():
            subject = f"market.trade.binance.{instrument}"
            found = self.ask(
                "read", "a trade", lambda wire, s=subject: wire.stored(MARKET, last_by_subj=s), counts=False
            )
            if found is None or found.seq == seen:
                continue
            self._seen[instrument] = found.seq
            said = decode_from(found.subject, found.payload)
            if seen and isinstance(said, TradePrinted):
                late = (said.ts_init - said.ts_event) / self.told.time.speed
                self.sample("feed", "trade at the venue -> read by the feed", late / MILLISECOND)


class Operator(BusUser):
    """Revokes an override that was never given, on the condition that `bulkhead risk override` says it under: the gate answers, nothing changes.

    RESUME would not do: the executor compares books and venue after each, which takes of the venue's request weight what the feed needs.
    What `LogFollower` measures is the gate's answer; here only the append is timed.
    """

    fixed_count = 1
    as_user = "cli"
    wait_time = constant_pacing(3.0)

    @task
    def command(self) -> None:
        """One command."""
        prefix = writer_filter(OPERATOR)
        last = self.ask(
            "operate", "the last command", lambda wire: wire.stored(TRADING, last_by_subj=prefix), counts=False
        )
        tail = 0 if last is None else last.seq
        said = _revoke(self.told, tail)
        headers = {
            "Nats-Msg-Id": f"{said.id}.{tail}",
            "Nats-Expected-Last-Subject-Sequence": str(tail),
            "Nats-Expected-Last-Subject-Sequence-Subject": prefix,
        }
        payload = msgspec.json.encode(said)
        self.ask("operate", "append of a command", lambda wire: wire.append(subject_of(said), payload, headers))


class VenueVisitor(FastHttpUser):
    """Asks the simulated venue what time it is: what this takes is how late the venue itself is, not we."""

    fixed_count = 1
    wait_time = constant_pacing(0.5)

    @task
    def visit(self) -> None:
        """One request."""
        self.client.get("/api/v3/time", name="exchange_sim answers /api/v3/time")


class ApiReader(FastHttpUser):
    """Looks at the API as a program does that somebody has written in a hurry: everything, four times a second, never what has changed alone."""

    fixed_count = 5
    wait_time = constant_pacing(0.25)
    told: ClassVar[Told]
    pages: ClassVar[tuple[str, ...]] = (
        "portfolio",
        "positions",
        "orders",
        "fills?limit=50",
        "signals",
        "decisions?limit=50",
        "risk",
        "feeds",
        "agents",
        "alerts?limit=50",
        "events?limit=100",
        "performance",
        "trace/latest",
    )

    def on_start(self) -> None:
        """Each begins at another page."""
        self._turn = id(self) % len(self.pages)

    @task
    def look(self) -> None:
        """The next page. Nothing has been filled at first: then there is no newest story, and 404 is the answer."""
        page = self.pages[self._turn % len(self.pages)]
        self._turn += 1
        name = f"API /{page.partition('?')[0]}"
        headers = {"Authorization": f"Bearer {self.told.api_token}"}
        with self.client.get(f"/api/v1/{page}", name=name, headers=headers, catch_response=True) as answer:
            if answer.status_code == 404 and page == "trace/latest":
                answer.success()


USERS: tuple[type[User], ...] = (LogFollower, PriceReader, MarketReader, Operator, VenueVisitor, ApiReader)


def _next(wire: Wire, seq: int) -> StoredMessage | None:
    return wire.stored(TRADING, seq=seq, next_by_subj=">")


def _revoke(told: Told, tail: int) -> MacroOverrideCommanded:
    now = told.time.venue(time.time_ns())
    command_id = derive_id("override", OPERATOR, tail, "load")
    return MacroOverrideCommanded(
        id=command_id,
        ts_event=now,
        ts_init=now,
        correlation_id=command_id,
        producer=OPERATOR,
        command="REVOKE",
        instrument=told.instruments[0],
        side="BUY",
        valid_until=now,
        reason="load",
        author="load",
    )


def run(told: Told) -> Heard:
    """Let the users do what they do; count after the warm-up."""
    BusUser.told = told
    LogFollower.path = path = EventPath(told.time, Staleness(told.instruments, told.price_age_ms_max * MILLISECOND))
    VenueVisitor.host = told.sim_url
    ApiReader.told, ApiReader.host = told, told.api_url
    environment = Environment(user_classes=list(USERS))
    runner = environment.create_local_runner()
    runner.start(sum(each.fixed_count for each in USERS), spawn_rate=100)
    gevent.sleep(told.warm_up_s)
    with gevent.Timeout(CATCH_UP_S_MAX, False):
        while not LogFollower.is_at_the_end:
            gevent.sleep(IDLE_S)
    environment.stats.reset_all()
    path.begin(began := time.time_ns())
    print(MEASURING, flush=True)
    gevent.sleep(told.seconds)
    ended = time.time_ns() if LogFollower.is_at_the_end else LogFollower.stored_ns
    heard = Heard(
        seconds=(ended - began) / 1e9,
        messages=path.messages,
        stale_share=path.staleness.share(ended),
        stale_instruments=path.staleness.stale_for(),
        feed_states=path.states,
        denied=path.denied,
        rows=rows_of(environment),
        errors=[f"{error.name}: {error.error}" for error in environment.stats.errors.values()],
    )
    runner.quit()
    return heard


def rows_of(environment: Environment) -> list[Row]:
    """Locust's own table."""
    return [
        Row(
            group=_group(entry),
            name=entry.name,
            samples=entry.num_requests,
            failures=entry.num_failures,
            p50=_percentile(entry, 0.5),
            p95=_percentile(entry, 0.95),
            p99=_percentile(entry, 0.99),
            most=round(entry.max_response_time),
        )
        for entry in environment.stats.entries.values()
    ]


def _group(entry: Any) -> str:
    """Two users speak HTTP: to the venue and to the gateway."""
    if entry.method != "GET":
        return str(entry.method)
    return "api" if entry.name.startswith("API ") else "venue"


def _percentile(entry: Any, share: float) -> int:
    return round(entry.get_response_time_percentile(share) or 0)


if __name__ == "__main__":
    print(msgspec.json.encode(run(msgspec.json.decode(sys.argv[1], type=Told))).decode(), flush=True)
