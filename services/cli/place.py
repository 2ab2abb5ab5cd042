"""Where a stack is: its state folder, its bus, its clock, the health pages of its services.

`bulkhead up` writes all of it into `stack.json` in the state folder. Without that file (the stack is down, or somebody else
runs the services) the settings say where things would be.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from libs.runtime.plugin import service_of
from libs.runtime.registry import module_of
from libs.runtime.settings import ServiceSettings, load_settings
from services.cli.exit_codes import UNAVAILABLE, Failure
from services.cli.stack import PLUGIN_PROCESS, RUNNING, TELEGRAM_BOT, Ports, StackSettings

MAP_FILE = "stack.json"
_LISTEN = re.compile(r'^listen: "[^"]*:(\d{1,5})"', re.MULTILINE)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One stack. `supervisor_pid` is 0 when nobody says that it runs; not `is_known`: `nats_url` is the default, a guess."""

    home: Path
    nats_url: str
    stream: str
    clock_url: str = ""
    services: dict[str, str] = {}
    supervisor_pid: int = 0
    is_known: bool = True
    mode: str = ""
    venue_url: str = ""
    market_url: str = ""

    @property
    def is_supervised(self) -> bool:
        """Whether the supervisor that wrote the map lives."""
        return self.supervisor_pid > 0 and is_alive(self.supervisor_pid)


class _Map(msgspec.Struct):
    """What we need of `stack.json`."""

    nats_url: str
    clock_url: str = ""
    services: dict[str, str] = {}
    supervisor_pid: int = 0
    is_known: bool = True
    mode: str = ""
    venue_url: str = ""
    market_url: str = ""


def stack_settings(home: Path | None = None, *, strict: bool = True) -> StackSettings:
    """The stack's settings, with another home if one is given; `strict` for who starts something (`load_settings`).

    Raises:
        SettingsError: names the bad variable.
    """
    settings = load_settings(StackSettings, strict=strict)
    return settings if home is None else settings.model_copy(update={"home": home})


def find_place(home: Path | None = None) -> Place:
    """The stack in `home` (default: BULKHEAD_HOME).

    Raises:
        SettingsError: names the bad variable.
        Failure: the map is there and cannot be read.
    """
    settings, shared = stack_settings(home, strict=False), load_settings(ServiceSettings, strict=False)
    path = settings.home / MAP_FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Map)
    except FileNotFoundError:
        found = _unwritten_map(settings, shared)
    except (OSError, msgspec.MsgspecError) as error:
        raise Failure(UNAVAILABLE, f"{path} cannot be read: {error}", "start the stack again: `bulkhead up`") from error
    return Place(
        home=settings.home,
        nats_url=found.nats_url,
        stream=shared.log_stream,
        clock_url=found.clock_url,
        services=found.services,
        supervisor_pid=found.supervisor_pid,
        is_known=found.is_known,
        mode=found.mode,
        venue_url=found.venue_url,
        market_url=found.market_url,
    )


def _unwritten_map(settings: StackSettings, shared: ServiceSettings) -> _Map:
    is_told = "port_base" in settings.model_fields_set
    last = 0 if is_told else last_port(settings.home)
    ports, is_named = Ports(last or settings.port_base), "nats_url" in shared.model_fields_set
    return _Map(
        nats_url=shared.nats_url if is_named else ports.nats_url,
        clock_url=shared.clock_url,
        services={name: f"http://127.0.0.1:{ports.service(name)}" for name in RUNNING},
        is_known=is_named or is_told or last > 0,
    )


def last_port(home: Path) -> int:
    """The port of the bus that this state folder had last, as its server was configured; 0: nobody knows."""
    try:
        found = _LISTEN.search((home / "nats" / "nats-server.conf").read_text())
    except (OSError, UnicodeDecodeError):
        return 0
    return int(found[1]) if found else 0


# --- processes ------------------------------------------------------------------------------------------------


def is_alive(pid: int) -> bool:
    """Whether a process with this id lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True


def processes_of(place: Place) -> dict[str, int]:
    """The process ids of the supervisor's children by name (`nats`, `exchange-sim`, services); empty when nobody can tell."""
    if not place.is_supervised:
        return {}
    modules = {"services.exchange_sim": "exchange-sim"} | {module_of(name): name for name in (*RUNNING, TELEGRAM_BOT)}
    found = {}
    for pid, command in _children(place.supervisor_pid):
        words = command.split()
        if any(word.endswith("nats-server") for word in words[:1]):
            found["nats"] = pid
        elif "-m" in words[:-1]:
            module = words[words.index("-m") + 1]
            name = service_of(Path(words[-1]).stem) if module == PLUGIN_PROCESS else modules.get(module)
            found |= {name: pid} if name else {}
    return found


def _children(parent: int) -> list[tuple[int, str]]:
    if sys.platform == "linux":
        return _children_in_proc(parent)
    ps = shutil.which("ps")
    if ps is None:
        return []
    listed = subprocess.run([ps, "-axwwo", "pid=,ppid=,command="], capture_output=True, text=True, check=False)  # noqa: S603
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [(int(row[0]), row[2]) for row in rows if len(row) == 3 and row[1] == str(parent)]


def _children_in_proc(parent: int) -> list[tuple[int, str]]:
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "stat").read_text()
            command = (folder / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:  # it ended while we looked
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent:
            found.append((int(folder.name), command))
    return found
