"""One supervisor above real processes: up, kept up, and down, whatever happens in between."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from rich.console import Console

from libs.runtime import logs
from libs.runtime.bus import BusError
from libs.runtime.nats_config import connect_options
from libs.runtime.snapshots import SnapshotFolder
from services.cli import console, health_watch
from services.cli import supervisor as supervising
from services.cli.child import Child, ChildSpec
from services.cli.claiming import home_lock
from services.cli.console_link import observer_command
from services.cli.exit_codes import CANNOT_WRITE, CONFIG, Failure
from services.cli.genesis import GenesisError, OtherWorld, declare_genesis, refuse_other_world
from services.cli.log_file import LogFolder
from services.cli.restart_policy import RestartLimits
from services.cli.stack import PORTS_TAKEN, Ports, StackSettings
from services.cli.supervisor import EX_UNAVAILABLE, Plan, run_up, up
from tests.nats_stack import NatsStack, free_block

OBEDIENT = """
import signal, socket, sys, time
ports = [int(port) for port in sys.argv[1:]]
def end(*_):
    for port in ports:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            print("still there", port, flush=True)
        except OSError:
            print("gone", port, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
VENUE = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()[0].close()
"""
SERVING = """
import http.server, signal, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health)
print("serving", flush=True)
server.serve_forever()
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(99)"
)
REFUSING = "import sys; print('bulkhead refuses to start, bad settings:\\nBULKHEAD_X: got 7; want 8'); sys.exit(78)"
CRASHING = "import sys; print('boom', flush=True); sys.exit(3)"


def spec(name: str, code: str, *args: object, port: int = 0) -> ChildSpec:
    command = (sys.executable, "-c", code, *(str(arg) for arg in args))
    return ChildSpec(name=name, command=command, env={"PATH": os.environ["PATH"]}, port=port)


def free_base() -> int:
    """The first of a block of free ports."""
    return free_block(PORTS_TAKEN)


class Running:
    """A stack that is up, in this process."""

    def __init__(self, home: Path, plan: Plan | None, base: int):
        self.settings = StackSettings(home=home, port_base=base, restart_loop_crashes=3, restart_loop_pause_s=60)
        self.ports = Ports(base)
        self.home = home
        self.screen = io.StringIO()
        self.task = asyncio.create_task(up(self.settings, plan=plan, out=Console(file=self.screen, width=300)))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                if self.task.done():
                    raise AssertionError(f"it ended: {self.task.result()}\n{self.screen.getvalue()}")
                await asyncio.sleep(0.02)

    async def until_up(self) -> None:
        await self.until((self.home / "stack.json").exists)

    def log_of(self, name: str) -> str:
        path = self.home / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    async def stopped(self) -> int:
        done, _ = await asyncio.wait([self.task], timeout=20)
        waiting = [f"{task.get_name()}: {task.get_stack(limit=1)}" for task in asyncio.all_tasks()]
        assert done, "\n".join([self.screen.getvalue(), *waiting])
        return self.task.result()


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Callable[..., Running]]:
    """Brings stacks up; whatever a test leaves running is stopped."""
    stacks: list[Running] = []

    def begin(
        *services: ChildSpec, venue: ChildSpec | None = None, base: int = 0, home: str = "home", clock_url: str = ""
    ) -> Running:
        plan = Plan(venue=venue, services=services, clock_url=clock_url)
        stacks.append(Running(tmp_path / home, plan, base or free_base()))
        return stacks[-1]

    yield begin
    for stack in stacks:
        if not stack.task.done():
            stack.task.cancel()
            await asyncio.gather(stack.task, return_exceptions=True)


async def events(stack: Running) -> list[str]:
    """The subjects of the log, from its beginning."""
    client = Client()
    await client.connect(**connect_options(stack.home, "admin", stack.ports.nats_url))
    reply = await client.request("$JS.API.STREAM.INFO.TRADING_0001", b'{"subjects_filter":">"}')
    await client.close()
    return sorted(json.loads(reply.data)["state"].get("subjects", {}))


async def test_a_stack_comes_up_and_goes_down_in_order(run: Callable[..., Running]) -> None:
    """Services find bus and venue still there when they are told to stop; the book has begun exactly once."""
    base = free_base()
    ports = Ports(base)
    stack = run(
        spec("a", OBEDIENT, ports.nats, ports.sim), venue=spec("venue", VENUE, ports.sim, port=ports.sim), base=base
    )
    await stack.until_up()
    await stack.until(lambda: "ready" in stack.log_of("a") and "begins" in stack.screen.getvalue())
    assert await events(stack) == ["ops.cli.genesis"]
    found = json.loads((stack.home / "stack.json").read_text())
    assert found["supervisor_pid"] == os.getpid()
    assert found["nats_url"] == stack.ports.nats_url
    assert observer_command(stack.settings) in stack.screen.getvalue()
    os.kill(os.getpid(), signal.SIGINT)
    assert await stack.stopped() == 0
    assert stack.log_of("a").splitlines() == ["ready", f"still there {ports.nats}", f"still there {ports.sim}"]
    assert not (stack.home / "stack.json").exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", ports.nats), 1)


async def test_a_second_start_keeps_the_book(run: Callable[..., Running]) -> None:
    """Keys, log and first event are found, not made again."""
    for _ in range(2):
        stack = run(spec("a", OBEDIENT))
        await stack.until_up()
        assert await events(stack) == ["ops.cli.genesis"]
        os.kill(os.getpid(), signal.SIGTERM)
        assert await stack.stopped() == 0
    assert "created stream" not in stack.screen.getvalue()


async def test_a_crashed_service_is_started_again_and_a_loop_is_loud(run: Callable[..., Running]) -> None:
    """Three crashes in a minute: a long pause, and its last words on the screen; the others do not notice."""
    stack = run(spec("bad", CRASHING), spec("good", OBEDIENT))
    await stack.until(lambda: "CRASH LOOP" in stack.screen.getvalue())
    assert stack.log_of("bad") == "boom\n" * 3
    assert "bad ended with code 3; again in 0.2 s" in stack.screen.getvalue()
    assert "It said last:\nboom" in stack.screen.getvalue()
    assert stack.log_of("good") == "ready\n"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await stack.stopped() == 0


async def test_a_killed_bus_comes_back_with_its_log(run: Callable[..., Running]) -> None:
    """kill -9 of nats-server is a crash like any other."""
    stack = run(spec("a", OBEDIENT))
    await stack.until_up()
    before = stack.log_of("nats").count("Server is ready")
    pid = next(int(line.split("[")[1].split("]")[0]) for line in stack.log_of("nats").splitlines() if "[INF]" in line)
    os.kill(pid, signal.SIGKILL)
    await stack.until(lambda: stack.log_of("nats").count("Server is ready") > before)
    assert await events(stack) == ["ops.cli.genesis"]
    assert "nats was killed by signal 9" in stack.screen.getvalue()


async def test_a_service_that_refuses_its_settings_ends_the_stack_with_its_words(run: Callable[..., Running]) -> None:
    """Exit code 78 is passed on: trying again would not help."""
    stack = run(spec("bad", REFUSING), spec("good", OBEDIENT))
    assert await stack.stopped() == 78
    assert "BULKHEAD_X: got 7; want 8" in stack.screen.getvalue()
    assert stack.log_of("bad").count("refuses") == 1


async def test_an_agent_of_the_users_cannot_end_the_stack(run: Callable[..., Running]) -> None:
    """Whatever it exits with: it is started again like after any crash, and the others do not notice."""
    guest = msgspec.structs.replace(spec("guest", REFUSING), is_essential=False)
    stack = run(guest, spec("good", OBEDIENT))
    await stack.until(lambda: "CRASH LOOP: guest ended with code 78" in stack.screen.getvalue())
    assert stack.log_of("good") == "ready\n"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await stack.stopped() == 0


async def test_a_service_that_will_not_end_is_killed(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop must end."""
    monkeypatch.setitem(supervising.STOP_S_MAX, "services", 0.3)
    stack = run(spec("deaf", STUBBORN))
    await stack.until(lambda: "ready" in stack.log_of("deaf"))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await stack.stopped() == 0
    assert "deaf did not end within 0.3 s and was killed" in stack.screen.getvalue()


async def test_a_signal_during_start_up_is_obeyed(run: Callable[..., Running]) -> None:
    """The venue never listens; the bus, already up, is taken down, and a second signal changes nothing."""
    base = free_base()
    stack = run(venue=spec("venue", OBEDIENT, port=Ports(base).sim), base=base)
    await stack.until(lambda: "ready" in stack.log_of("venue"))
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await stack.stopped() == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", stack.ports.nats), 1)


async def test_a_venue_that_never_listens_is_given_up(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its last words."""
    monkeypatch.setattr(supervising, "UP_S_MAX", 0.5)
    base = free_base()
    stack = run(venue=spec("venue", OBEDIENT, port=Ports(base).sim), base=base)
    assert await stack.stopped() == EX_UNAVAILABLE
    assert "venue does not listen on port" in stack.screen.getvalue()


async def test_a_venue_that_refuses_its_settings_ends_the_start(run: Callable[..., Running]) -> None:
    """There is nothing to wait for."""
    base = free_base()
    stack = run(venue=spec("venue", REFUSING, port=Ports(base).sim), base=base)
    assert await stack.stopped() == 78


async def test_a_clock_that_says_no_time_is_told(run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first event cannot be dated."""
    monkeypatch.setattr(supervising, "CLOCK_S_MAX", 0.3)
    base = free_base()
    stack = run(base=base, clock_url=f"ws://127.0.0.1:{Ports(base).sim}/sim/clock")
    assert await stack.stopped() == EX_UNAVAILABLE
    assert "no time from the venue clock" in stack.screen.getvalue()


async def test_losing_sight_of_the_log_stops_nobody(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, tried again, and the services run on."""
    follow, tries = console.follow, []

    async def follow_at_the_second_try(*args: Any) -> None:
        tries.append(args)
        if len(tries) == 1:
            raise BusError("no such durable")
        await follow(*args)

    monkeypatch.setattr(console, "follow", follow_at_the_second_try)
    stack = run(spec("a", OBEDIENT))
    await stack.until(lambda: "begins" in stack.screen.getvalue())
    assert "cannot show the log: no such durable; trying again" in stack.screen.getvalue()
    assert not stack.task.done()


async def test_words_too_long_to_keep_are_dropped_and_the_process_is_heard_on(tmp_path: Path) -> None:
    """One mad line must not silence a service; and a child told to end before it began ends."""
    said: list[str] = []
    talker = "print('x' * 1_000_000); print('and then', flush=True)"
    child = Child(spec("talker", talker), LogFolder(tmp_path), RestartLimits(delay_s_first=60), said.append)
    running = asyncio.create_task(child.keep_running())
    async with asyncio.timeout(20):
        while not said:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (tmp_path / "talker.log").read_text().splitlines()[-1] == "and then"
    assert "too long to keep" in (tmp_path / "talker.log").read_text()
    assert await child.stop(1.0)
    await running
    early = Child(spec("early", OBEDIENT), LogFolder(tmp_path), RestartLimits(), said.append)
    born = asyncio.create_task(early.keep_running())
    await asyncio.sleep(0)  # it is being born, and has no process id yet
    assert await early.stop(1.0)
    async with asyncio.timeout(20):
        await born


async def test_a_service_that_hangs_is_killed_and_started_again(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives, and answers nobody: no restart policy would see that."""
    if sys.platform != "linux":
        pytest.skip("the process is found in /proc")
    for name, value in {"POLL_S": 0.05, "ANSWER_S_MAX": 0.2, "SILENT_S_MAX": 0.5}.items():
        monkeypatch.setattr(health_watch, name, value)
    base = free_base()
    port = Ports(base).service("ledger")
    stack = run(spec("mute", SERVING, port, port=port), base=base)
    await stack.until(lambda: "all 1 services are live" in stack.screen.getvalue())
    await asyncio.sleep(0.5)  # it must have been heard by the watch, too
    (pid,) = [pid for pid in pids_of_children(os.getpid()) if str(port) in command_of(pid)]
    os.kill(pid, signal.SIGSTOP)
    await stack.until(lambda: stack.log_of("mute").count("serving") == 2)
    assert "mute has not answered for 0.5 s: it hangs, and is killed" in stack.screen.getvalue()
    assert "mute was killed by signal 9; again in" in stack.screen.getvalue()


async def test_who_is_not_ready_is_named(run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """Services are not said to be live because they were started."""
    monkeypatch.setattr(health_watch, "READY_S_MAX", 0.2)
    base = free_base()
    stack = run(spec("late", OBEDIENT, port=Ports(base).service("ledger")), spec("a", OBEDIENT), base=base)
    await stack.until(lambda: "not ready after 0.2 s: late;" in stack.screen.getvalue())
    assert "starting 2 services" in stack.screen.getvalue()
    assert "are live" not in stack.screen.getvalue()
    os.kill(os.getpid(), signal.SIGHUP)
    assert await stack.stopped() == 0
    assert stack.screen.getvalue().endswith("stopped, nothing is left running\n")


async def test_a_lost_log_is_refused_and_nothing_is_made(run: Callable[..., Running]) -> None:
    """A service has seen more events than the bus holds: an empty log must not take the place of the lost one."""
    stack = run(spec("a", OBEDIENT))
    await stack.until_up()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await stack.stopped() == 0
    snapshots = SnapshotFolder(stack.home, "ledger")
    snapshots.save_watermark("TRADING_0001", 1)  # all that there is
    stack = run(spec("a", OBEDIENT))
    await stack.until_up()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await stack.stopped() == 0
    shutil.rmtree(stack.home / "nats" / "store")
    stack = run(spec("a", OBEDIENT))
    assert await stack.stopped() == EX_UNAVAILABLE
    assert "events are lost: the log TRADING_0001 held 1" in stack.screen.getvalue()
    assert "the bus has 0" in stack.screen.getvalue()
    assert not list((stack.home / "nats" / "store").rglob("streams/*"))
    (stack.home / "snapshots" / "ledger.watermark").write_text("TRADING_0001 many\n")
    stack = run(spec("a", OBEDIENT))
    assert await stack.stopped() == EX_UNAVAILABLE
    assert "ledger.watermark is not a watermark; delete it" in stack.screen.getvalue()


async def test_the_end_of_the_recorded_market_is_told(run: Callable[..., Running]) -> None:
    """Profits on generated prices are not profits on recorded ones."""
    base = free_base()
    ended = 'print(\'{"level":"warning","event":"recording_ended"}\', flush=True)'
    stack = run(venue=spec("venue", ended + VENUE, Ports(base).sim, port=Ports(base).sim), base=base)
    await stack.until_up()
    assert stack.screen.getvalue().count("the recorded market has ended; from here on prices are generated") == 1


async def test_bad_settings_are_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole stack is asked first, the bus included."""
    monkeypatch.setenv("BULKHEAD_RISK_PRICE_AGE_MS_MAX", "soon")
    screen = io.StringIO()
    home = tmp_path / "home"
    settings = StackSettings(home=home, port_base=free_base())
    assert await up(settings, out=Console(file=screen, width=300)) == CONFIG
    assert "BULKHEAD_RISK_PRICE_AGE_MS_MAX: got 'soon'" in screen.getvalue()
    assert not (home / "nats").exists()
    monkeypatch.delenv("BULKHEAD_RISK_PRICE_AGE_MS_MAX")
    (home / "keys" / "gate-signing.pem").chmod(0o644)
    assert await up(settings, out=Console(file=screen, width=300)) == CONFIG
    assert "gate-signing.pem is readable by others" in screen.getvalue()


@pytest.mark.parametrize("below", ["file", "file/home"])
async def test_a_state_folder_that_cannot_be_is_told(tmp_path: Path, below: str) -> None:
    """One sentence and what to do, from the command and from within."""
    (tmp_path / "file").write_text("")
    settings = StackSettings(home=tmp_path / below, port_base=free_base())
    with pytest.raises(Failure, match=r"the state folder .* cannot be used") as refused:
        run_up(settings)
    assert refused.value.code == CANNOT_WRITE
    assert "BULKHEAD_HOME" in refused.value.cure
    screen = io.StringIO()
    plan = Plan(venue=None, services=())
    assert await up(settings, plan=plan, out=Console(file=screen, width=300)) == CANNOT_WRITE
    assert "what to do: set BULKHEAD_HOME" in screen.getvalue()


async def test_a_stack_runs_on_without_its_logs(
    run: Callable[..., Running], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full and a folder that cannot be written cost words: it is told once, and services are started, kept up and stopped as ever."""
    logs_folder = tmp_path / "home" / "logs"
    logs_folder.mkdir(parents=True)
    (logs_folder / "a.log").symlink_to("/dev/full")
    (logs_folder / "b.log").mkdir()
    base = free_base()
    stack = run(spec("a", SERVING, base + 10, port=base + 10), spec("b", SERVING, base + 11, port=base + 11), base=base)
    await stack.until(lambda: "all 2 services are live" in stack.screen.getvalue())
    assert capfd.readouterr().err.count("logs are not written to") == 1
    os.kill(os.getpid(), signal.SIGTERM)
    assert await stack.stopped() == 0
    assert "ended with code" not in stack.screen.getvalue()


def test_the_command_keeps_libraries_words_off_the_screen(tmp_path: Path) -> None:
    """A home that is held is refused with code 69, whatever else is logged."""
    with home_lock(tmp_path):
        assert run_up(StackSettings(home=tmp_path)) == EX_UNAVAILABLE
    assert (tmp_path / "logs" / "supervisor.log").exists()
    logs.configure("tests", stream=sys.stderr)


async def test_a_taken_port_is_told_before_anything_runs(run: Callable[..., Running]) -> None:
    """By number and by who wants it."""
    base = free_base()
    with socket.create_server(("127.0.0.1", Ports(base).monitor)):
        stack = run(spec("a", OBEDIENT), base=base)
        assert await stack.stopped() == EX_UNAVAILABLE
    assert f"port {base + 1} (nats-server monitor)" in stack.screen.getvalue()
    assert not (stack.home / "logs").exists()


async def test_two_stacks_run_side_by_side_but_not_in_one_home(run: Callable[..., Running]) -> None:
    """Another home and port base: another world. The same home: a clear no."""
    one = run(spec("a", OBEDIENT), home="one")
    await one.until_up()
    two = run(spec("a", OBEDIENT), home="two")
    await two.until_up()
    again = run(spec("a", OBEDIENT), home="one")
    assert await again.stopped() == EX_UNAVAILABLE
    assert "in use by another supervisor" in again.screen.getvalue()


async def test_nothing_survives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """kill -9 leaves no orphans that trade on with nobody watching (Linux)."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child of its parent's death")
    base = free_base()
    code = (
        "import asyncio, sys, json, msgspec; from pathlib import Path;"
        "from services.cli.supervisor import up, Plan; from services.cli.stack import StackSettings;"
        "plan = msgspec.json.decode(sys.argv[2], type=Plan);"
        f"asyncio.run(up(StackSettings(home=Path(sys.argv[1]), port_base={base}), plan=plan))"
    )
    home = tmp_path / "home"
    plan = Plan(venue=None, services=(spec("a", OBEDIENT), spec("deaf", STUBBORN)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(home), msgspec.json.encode(plan).decode(), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while not (home / "stack.json").exists() or children_of(process.pid) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        orphans = pids_of_children(process.pid)
    finally:
        process.kill()
        await process.wait()
    async with asyncio.timeout(5):
        while any(is_alive(pid) for pid in orphans):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert len(orphans) == 3


def pids_of_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def children_of(pid: int) -> int:
    return len(pids_of_children(pid))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("begun", "mode", "book", "why"),
    [
        ("sim", "live", "main", "a book in mode sim, and mode live does not go on with it"),
        ("paper", "live", "main", "a book in mode paper, and mode live does not go on with it"),
        ("live", "sim", "main", "a book in mode live, and mode sim does not go on with it"),
        ("live", "live", "other", "the book 'main', and this is 'other'"),
        ("live", "live", "main", ""),
        ("paper", "sim", "main", ""),  # from before sim had a name
        ("", "live", "main", ""),
    ],
)
async def test_real_and_simulated_never_share_a_log(
    nats: NatsStack, begun: str, mode: str, book: str, why: str
) -> None:
    """In neither direction; nor do two books that are real."""
    cli = await nats.connect("cli")
    if begun:
        assert await declare_genesis(cli.client, book="main", mode=begun, author="eva", now=5) == 1
    if not why:
        await refuse_other_world(cli.client, book=book, mode=mode)
        return
    with pytest.raises(OtherWorld, match=why):
        await refuse_other_world(cli.client, book=book, mode=mode)


async def test_the_book_begins_once(nats: NatsStack) -> None:
    """The second declaration finds the first; a refusal for another reason is told."""
    cli = await nats.connect("cli")
    begin = {"book": "main", "mode": "paper", "author": "eva", "now": 5}
    assert await declare_genesis(cli.client, **begin) == 1
    assert await declare_genesis(cli.client, **begin) is None
    assert await declare_genesis(cli.client, **{**begin, "book": "other"}) is None
    admin = await nats.connect("admin")
    await admin.ask("$JS.API.STREAM.DELETE.TRADING_0001")
    await admin.ask(
        "$JS.API.STREAM.CREATE.TRADING_0001", {"name": "TRADING_0001", "subjects": ["ops.>"], "max_msg_size": 10}
    )
    with pytest.raises(GenesisError, match="refused the first event of book 'main'"):
        await declare_genesis(cli.client, **begin)
