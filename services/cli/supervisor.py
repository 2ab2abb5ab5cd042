"""Everything real on one machine, without containers: the bus, the simulated venue, every service, one supervisor above them.

    lock home ─▶ keys ─▶ settings ─▶ ports free? ─▶ nats-server ─▶ provision ─▶ exchange_sim ─▶ genesis ─▶ services ─▶ follow the log
    live mode: certificate before all, no exchange_sim, and after genesis what unlocked it
    stop (any signal, at any moment): services ─▶ backup ─▶ exchange_sim ─▶ nats-server, within fifteen seconds

A child that ends unasked, or hangs (health_watch), is started again (restart_policy); one that refuses its settings (exit code 78) ends the whole stack with
its own words, because trying again would not help. A second signal changes nothing: the first one is being obeyed.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from rich.console import Console

from libs.research.certificate import Certificate, CertificateRefused
from libs.runtime import logs, nats_server
from libs.runtime.bus import Bus, BusError
from libs.runtime.clock import ClockUnavailable, open_clock
from libs.runtime.nats_config import (
    ADMIN_USER,
    KeysError,
    connect_options,
)
from libs.runtime.provision import ProvisionError, provision
from libs.runtime.registry import contracts
from libs.runtime.streams import TRADING
from services.cli import console
from services.cli.backup.child import backup_specs
from services.cli.baseline import BaselineError
from services.cli.change import admit_change, change_rules
from services.cli.child import Child, ChildRefused, ChildSpec
from services.cli.child_settings import refuse_bad_settings, venue_url_of
from services.cli.claiming import HomeError, check_ports, home_lock, writing_into
from services.cli.console_link import console_line, gateway_of, observer_command
from services.cli.exit_codes import CANNOT_WRITE, CONFIG, Failure
from services.cli.genesis import GenesisError, OtherWorld, declare_genesis, refuse_other_world
from services.cli.health_watch import end_silent, tell_when_ready
from services.cli.log_file import LogFolder, LogStream
from services.cli.log_rolling import keep_rolling
from services.cli.lost_log import refuse_lost_log
from services.cli.market_watch import tell_of_market
from services.cli.place import Place
from services.cli.screen import Screen, Terminal
from services.cli.stack import Ports, StackSettings, service_specs, venue_specs
from services.cli.stack_keys import StackError
from services.cli.unlock import certificate_in_force, declare_unlocked, strategy_differences

EX_OK, EX_UNAVAILABLE = 0, 69
UP_S_MAX = 20.0
CLOCK_S_MAX = 10.0
STOP_S_MAX = {"services": 10.5, "backup": 1.0, "venue": 1.5, "bus": 2.0}
"""How long each kind of child gets to end by itself; a service without its bus needs ten seconds, with it much less than one."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run besides the bus. `venue` is started first, and its clock (if `clock_url`) dates the first event."""

    venue: ChildSpec | None
    services: tuple[ChildSpec, ...]
    clock_url: str = ""


def plan_of(settings: StackSettings, environment: Mapping[str, str]) -> Plan:
    """The whole native stack."""
    return Plan(
        venue=next(iter(venue_specs(settings, environment)), None),
        services=tuple(service_specs(settings, environment)),
        clock_url=settings.clock_url,
    )


def run_up(settings: StackSettings) -> int:
    """`up` as a process of its own: libraries' log lines go to `logs/supervisor.log`, the screen is for people.

    Raises:
        Failure: the state folder cannot be written.
    """
    try:
        with writing_into(settings.home):
            settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except HomeError as error:
        raise Failure(CANNOT_WRITE, str(error), error.cure) from error
    with LogStream(log_folder(settings).log("supervisor")) as stream:
        logs.configure("supervisor", stream=stream)
        return asyncio.run(up(settings))


async def up(
    settings: StackSettings, *, plan: Plan | None = None, out: Console | None = None, show_log: bool = True
) -> int:
    """Bring the stack up, keep it up, and take it down on SIGINT or SIGTERM; returns the exit code.

    0: stopped when asked. 69: it could not be brought up (the text says why). 73: the state folder cannot be written. 78: bad settings or
    keys.
    """
    screen = Screen(out or Terminal())
    stop = asyncio.Event()
    with _stopping_on_signals(stop):
        try:
            with writing_into(settings.home), home_lock(settings.home):
                return await Supervisor(settings, plan, screen, stop).run(show_log=show_log)
        except ChildRefused as refusal:
            screen.say(f"{refusal}\nwhat to do: correct what is named above, then try again", "bold red")
            return CONFIG
        except KeysError as error:
            screen.say(f"bulkhead up: {error}", "bold red")
            return CONFIG
        except CertificateRefused as refusal:
            screen.say(f"live mode does not start: {refusal}\nwhat to do: {refusal.cure}", "bold red")
            return CONFIG
        except OtherWorld as error:
            screen.say(f"bulkhead up: {error}\nwhat to do: {error.cure}", "bold red")
            return CONFIG
        except HomeError as error:
            screen.say(f"bulkhead up: {error}\nwhat to do: {error.cure}", "bold red")
            return CANNOT_WRITE
        except (StackError, ProvisionError, GenesisError, BaselineError, nats_server.NatsServerError) as error:
            screen.say(f"bulkhead up: {error}", "bold red")
            return EX_UNAVAILABLE


@contextmanager
def _stopping_on_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in asked:
        loop.add_signal_handler(each, stop.set)
    try:
        yield
    finally:
        for each in asked:
            loop.remove_signal_handler(each)


class Supervisor:
    """One stack, from its first process to its last."""

    def __init__(self, settings: StackSettings, plan: Plan | None, screen: Screen, stop: asyncio.Event):
        self._settings = settings
        self._ports = Ports(settings.port_base)
        self._plan = plan
        self._logs = log_folder(settings)
        self._screen = screen
        self._stop = stop
        self._tasks: dict[Child, asyncio.Task[None]] = {}
        self._bus: Child | None = None
        self._venue: Child | None = None
        self._certificate: Certificate | None = None
        self._services: list[Child] = []
        self._copiers: list[Child] = []
        self._log_begins = 1

    async def run(self, *, show_log: bool) -> int:
        """Up, stay up, down. Whatever ends it, everything it started is stopped before it returns or raises."""
        self._certificate = certificate_in_force(self._settings, time.time_ns())
        plan = self._plan
        if plan is None:
            plan = plan_of(self._settings, os.environ)
            for question in refuse_bad_settings([*([plan.venue] if plan.venue else []), *plan.services]):
                self._say(f"is this meant?  {question}")
        if self._certificate is not None:
            for line in strategy_differences(self._certificate, plan.services):
                self._say(f"is this meant?  {line}")
        work = [asyncio.create_task(self._live(plan, show_log)), asyncio.create_task(self._stop.wait())]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            if work[0].done():
                work[0].result()
        finally:
            await _end(work)
            await self._take_down()
        return EX_OK

    async def _live(self, plan: Plan, show_log: bool) -> None:
        self._check_ports(plan)
        await self._start_bus()
        if plan.venue is not None:
            self._venue = self._start(plan.venue, self._hear_venue)
            await self._until_it_listens(self._venue)
        await self._open_book(plan.clock_url)
        self._services = [self._start(spec) for spec in plan.services]
        self._write_map(plan)
        self._copiers = [self._start(spec) for spec in backup_specs(self._settings, os.environ)]
        self._greet(plan)
        others = [end_silent(self._services, self._say), tell_when_ready(self._services, self._say)]
        others += [keep_rolling(self._settings, self._say), *([self._show_log()] if show_log else [])]
        if not self._settings.is_simulated:
            others.append(tell_of_market(self._settings.feed_url, self._say, self._orders_go(plan)))
        await self._watch([asyncio.create_task(each) for each in others])

    # --- start ----------------------------------------------------------------------------------------------------

    def _check_ports(self, plan: Plan) -> None:
        wanted = {"nats-server": self._ports.nats, "nats-server monitor": self._ports.monitor}
        specs = [*([plan.venue] if plan.venue else []), *plan.services]
        if (gateway := gateway_of(plan.services)) is not None:
            wanted["the console"] = gateway.gateway_port
        check_ports({**wanted, **{spec.name: spec.port for spec in specs}})

    def _start(self, spec: ChildSpec, hear: Callable[[bytes], None] | None = None) -> Child:
        child = Child(spec, self._logs, self._settings.restart_limits, self._say, hear)
        self._tasks[child] = asyncio.create_task(child.keep_running(), name=spec.name)
        return child

    async def _start_bus(self) -> None:
        home = self._settings.home
        config = nats_server.write_config(home, contracts(), self._ports.nats, self._ports.monitor)
        command = (str(nats_server.binary()), "--config", str(config))
        env = {"PATH": os.environ.get("PATH", "")}
        self._bus = bus = self._start(ChildSpec(name="nats", command=command, env=env, port=self._ports.nats))
        await nats_server.wait_healthy(
            self._ports.monitor, ended=lambda: bus.policy.restarts > 0, last_words=lambda: bus.last_words
        )
        async with self._connected(ADMIN_USER) as client:
            await refuse_lost_log(client, home)
            place = Place(home=home, nats_url=self._ports.nats_url, stream=TRADING)
            await admit_change(client, place, change_rules(self._settings), self._say)
            made = await provision(client, contracts())
            if made:
                self._say(f"made the log: {len(made)} streams and durables", style="dim")
            self._log_begins = await Bus(client, TRADING).last_seq() + 1
        async with self._connected("cli") as client:
            await refuse_other_world(client, book=self._settings.book, mode=self._settings.mode)

    async def _until_it_listens(self, child: Child) -> None:
        until = time.monotonic() + UP_S_MAX
        while time.monotonic() < until:
            if self._tasks[child].done():
                await self._tasks[child]  # raises what it said
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", child.spec.port)
                writer.close()
                return
            await asyncio.sleep(0.05)
        raise StackError(
            f"{child.spec.name} does not listen on port {child.spec.port} after {UP_S_MAX:g} s:\n{child.last_words}"
        )

    async def _open_book(self, clock_url: str) -> None:
        """Dated by the clock the services follow: an event from the future of that clock would move their time."""
        clock = open_clock(clock_url)
        try:
            await clock.connect(CLOCK_S_MAX)
        except ClockUnavailable as error:
            raise StackError(str(error)) from error
        try:
            async with self._connected("cli") as client:
                settings = self._settings
                await declare_genesis(
                    client, book=settings.book, mode=settings.mode, author=_operator(), now=clock.now()
                )
                if (paper := self._certificate) is not None:
                    await declare_unlocked(
                        client,
                        paper,
                        author=_operator(),
                        days_max=settings.certificate_days_max,
                        now=clock.now(),
                    )
        except TimeoutError:
            raise StackError("the bus does not answer; its words are in logs/nats.log") from None
        finally:
            await clock.close()

    @contextlib.asynccontextmanager
    async def _connected(self, user: str) -> AsyncIterator[Client]:
        client = Client()
        await client.connect(**connect_options(self._settings.home, user, self._ports.nats_url))
        try:
            yield client
        finally:
            await client.close()

    # --- up -------------------------------------------------------------------------------------------------------

    async def _watch(self, others: list[asyncio.Task[None]]) -> None:
        """Return never; raise when a child refuses its settings or something of ours breaks."""
        try:
            done, _ = await asyncio.wait([*self._tasks.values(), *others], return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            await _end(others)

    async def _show_log(self) -> None:
        """Show what the services write from now on; losing sight of the log is no reason to stop them."""
        while True:
            try:
                await console.follow(self._settings.home, self._ports.nats_url, self._screen.show, self._log_begins)
            except (BusError, NatsError, TimeoutError) as error:
                self._say(f"cannot show the log: {error}; trying again")
            await asyncio.sleep(1.0)

    def _write_map(self, plan: Plan) -> None:
        """Where everything is, for `bulkhead status` and scripts."""
        found = {
            "supervisor_pid": os.getpid(),
            "nats_url": self._ports.nats_url,
            "nats_monitor_url": f"http://127.0.0.1:{self._ports.monitor}",
            "venue_url": self._venue_url(plan),
            "clock_url": plan.clock_url,
            "mode": self._settings.mode,
            "market_url": "" if self._settings.is_simulated else self._settings.feed_url,
            "services": {spec.name: f"http://127.0.0.1:{spec.port}" for spec in plan.services},
        }
        draft = self._settings.home / "stack.json.draft"
        draft.write_text(json.dumps(found, indent=2) + "\n")
        draft.replace(self._settings.home / "stack.json")

    def _venue_url(self, plan: Plan) -> str:
        return self._ports.sim_url if plan.venue else venue_url_of(plan.services)

    def _orders_go(self, plan: Plan) -> str:
        if plan.venue is not None:
            return "orders go to the paper venue, no key is used"
        return f"ORDERS ARE REAL: they go to {self._venue_url(plan)}"

    def _greet(self, plan: Plan) -> None:
        if (gateway := gateway_of(plan.services)) is not None:
            self._say(console_line(self._settings, gateway), style="bold")
        services = len(self._services)
        self._say(f"starting {services} services …  their words are in {self._logs.path}", style="bold")
        self._say(f"look into the log:  {observer_command(self._settings)} sub 'risk.>'", style="dim")

    def _say(self, text: str, style: str = "yellow") -> None:
        self._screen.say(text, style)

    def _hear_venue(self, line: bytes) -> None:
        if b'"recording_ended"' in line:
            self._say("the recorded market has ended; from here on prices are generated, from the last recorded ones")

    # --- down -----------------------------------------------------------------------------------------------------

    async def _take_down(self) -> None:
        """Writers first, so that what they have decided reaches the log; the log last."""
        if not self._tasks:
            return
        self._say("stopping", style="dim")
        kinds = {"services": self._services, "backup": self._copiers, "venue": [self._venue], "bus": [self._bus]}
        for kind, children in kinds.items():
            await self._stop_all([child for child in children if child is not None], STOP_S_MAX[kind])
        await asyncio.wait(self._tasks.values(), timeout=0.5)  # the last words are still being written down
        await _end(self._tasks.values())
        (self._settings.home / "stack.json").unlink(missing_ok=True)
        self._say("stopped, nothing is left running", style="dim")

    async def _stop_all(self, children: Sequence[Child], deadline_s: float) -> None:
        ended = await asyncio.gather(*(child.stop(deadline_s) for child in children))
        for child, by_itself in zip(children, ended, strict=True):
            if not by_itself:
                self._say(f"{child.spec.name} did not end within {deadline_s:g} s and was killed")


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until every task has ended: a cancellation that meets nats-py in `wait_for` was seen to be swallowed."""
    ending = set(tasks)
    waiting = ending
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=0.2)
    await asyncio.gather(*ending, return_exceptions=True)  # what they raised has been told, or is a cancellation


def log_folder(settings: StackSettings) -> LogFolder:
    """Where the words of this stack go."""
    return LogFolder(settings.home / "logs", settings.log_bounds)


def _operator() -> str:
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):  # a container's user id without a name
        return "operator"
