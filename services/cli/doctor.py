"""`bulkhead doctor`: everything that has to be right before or while a stack runs, looked at without changing anything.

A check returns findings; a finding is OK, WARN (it works, but look) or FAIL (it will not work), and says what to do. Here are the
checks of this machine; `doctor_stack` looks at the settings, the bus and the database.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import nkeys

from libs.runtime import nats_server
from libs.runtime.provision import ProvisionError, check_server_version
from services.cli.startup.report import CURE, judged, line_of, set_variables

Level = Literal["OK", "WARN", "FAIL"]

PYTHON_MIN = (3, 11)
LOCK = Path(__file__).parents[2] / "requirements" / "dev.lock"
INSTALL = "run `make install`"
DISK_BYTES_FAIL, DISK_BYTES_WARN = 1_000_000_000, 5_000_000_000
YEARS_BELIEVED = range(2025, 2100)
CLOCK_SAMPLE_S = 0.2
CLOCK_STEP_MS_MAX = 50.0
SECOND_NS = 1_000_000_000
NAMES_SHOWN_MAX = 5

_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(;?)")


class Finding(msgspec.Struct, frozen=True):
    """What a check found; `cure` is empty when all is well. While a `critical` one fails, live trading does not begin."""

    check: str
    level: Level
    text: str
    cure: str = ""
    critical: bool = False


def examine_machine(home: Path) -> list[Finding]:
    """Every check of this machine and of the state folder."""
    return [
        check_python(sys.version_info[:3]),
        check_packages(LOCK.read_text() if LOCK.exists() else None, installed_version),
        check_startup(Path(sys.prefix), os.environ),
        check_nats_server(),
        check_home(home),
        check_keys(home),
        check_disk(shutil.disk_usage(existing(home)).free),
        check_clock(clock_samples()),
    ]


# --- the software -------------------------------------------------------------------------------------------------


def check_python(version: tuple[int, ...]) -> Finding:
    """The interpreter is new enough."""
    shown = ".".join(str(part) for part in version)
    if version >= PYTHON_MIN:
        return Finding("python", "OK", f"{shown} at {sys.executable}")
    wanted = ".".join(str(part) for part in PYTHON_MIN)
    return Finding("python", "FAIL", f"{shown}; wanted {wanted} or newer", "install it, then `make clean install`")


def installed_version(name: str) -> str | None:
    """The version of an installed package, None if it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_packages(lock: str | None, installed: Callable[[str], str | None]) -> Finding:
    """What is installed is what is locked. A package locked for some platforms only may be missing."""
    if lock is None:
        return Finding(
            "packages", "WARN", "no lock file here: installed from elsewhere", "compare with requirements/dev.lock"
        )
    missing, other = [], []
    locked = _locked(lock)
    for name, (versions, is_conditional) in locked.items():
        found = installed(name)
        if found is None and not is_conditional:
            missing.append(name)
        elif found is not None and found.removeprefix("v") not in versions:  # some say "v1.0" of themselves
            other.append(f"{name} {found} (locked {' or '.join(sorted(versions))})")
    if missing:
        return Finding("packages", "FAIL", f"missing: {_some(missing)}", INSTALL)
    if other:
        return Finding("packages", "WARN", f"not as locked: {_some(other)}", INSTALL)
    return Finding("packages", "OK", f"{len(locked)} as locked")


def _locked(lock: str) -> dict[str, tuple[set[str], bool]]:
    found: dict[str, tuple[set[str], bool]] = {}
    for line in lock.splitlines():
        match = _LOCKED.match(line)
        if match is not None:
            versions, _ = found.setdefault(match[1].lower(), (set(), bool(match[3])))
            versions.add(match[2])
    return found


def check_startup(prefix: Path, environment: Mapping[str, str]) -> Finding:
    """Nothing runs by itself at the start of every interpreter here that nobody has reviewed."""
    try:
        verdict = judged(prefix, environment=environment)
    except FileNotFoundError as error:
        return Finding("startup", "WARN", str(error), "run it from an environment: `make install`")
    if verdict.refused:
        return Finding("startup", "FAIL", f"not reviewed: {_some([line_of(each) for each in verdict.refused])}", CURE)
    if verdict.foreign:
        shown = _some([line_of(each) for each in verdict.foreign])
        return Finding("startup", "WARN", f"the interpreter's own, not reviewed: {shown}", "read it")
    if told := set_variables(environment):
        cure = "unset them, unless you know what each brings into every process"
        return Finding("startup", "WARN", f"set: {', '.join(told)}", cure)
    return Finding("startup", "OK", f"{len(verdict.hooks)} hooks, each reviewed")


def check_nats_server() -> Finding:
    """The server is there, and has no known holes."""
    try:
        path = nats_server.binary()
        said = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True, timeout=10).stdout  # noqa: S603
        check_server_version(said.strip())
    except (nats_server.NatsServerError, ProvisionError) as error:
        return Finding("nats-server", "FAIL", str(error), INSTALL)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("nats-server", "FAIL", f"cannot be run: {error}", INSTALL)
    return Finding("nats-server", "OK", f"{said.strip()} at {path}")


# --- the state folder ---------------------------------------------------------------------------------------------


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def check_home(home: Path) -> Finding:
    """The state folder can be written."""
    found = existing(home)
    if not found.is_dir():
        return Finding("home", "FAIL", f"{found} is not a folder", "name another state folder with BULKHEAD_HOME")
    if not os.access(found, os.W_OK | os.X_OK):
        cure = "let this user write there, or name another state folder with BULKHEAD_HOME"
        return Finding("home", "FAIL", f"{found} cannot be written", cure)
    return Finding("home", "OK", f"{home}" if found == home.absolute() else f"{home} will be made by `bulkhead up`")


def check_keys(home: Path) -> Finding:
    """Secrets are readable by their owner alone."""
    folder = home / "keys"
    if not folder.exists():
        return Finding("keys", "OK", "none yet; `bulkhead up` makes them")
    open_to_others = [path for path in (folder, *sorted(folder.iterdir())) if _mode(path) & 0o077]
    if open_to_others:
        shown = _some([f"{path.name} ({_mode(path):04o})" for path in open_to_others])
        cure = f"chmod 700 {folder}; chmod 600 {folder}/*; change every key that may have leaked"
        return Finding("keys", "FAIL", f"readable by others: {shown}", cure)
    broken = [path.name for path in sorted(folder.glob("*.nk")) if not _is_seed(path)]
    if broken:
        cure = f"delete them from {folder} and start again: `bulkhead up` makes new ones"
        return Finding("keys", "FAIL", f"no nkey seeds: {_some(broken)}", cure)
    return Finding("keys", "OK", f"{len(list(folder.iterdir()))} files, for their owner alone")


def _is_seed(path: Path) -> bool:
    try:
        nkeys.from_seed(bytearray(path.read_bytes().strip())).wipe()
    except (nkeys.NkeysError, ValueError, TypeError, OSError):
        return False
    return True


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def check_disk(free_bytes: int) -> Finding:
    """There is room for a log that never forgets; a full disk stops all writers."""
    shown = f"{free_bytes / 1e9:,.1f} GB free"
    if free_bytes < DISK_BYTES_FAIL:
        return Finding("disk", "FAIL", shown, "free some space: without room for the log nothing trades")
    if free_bytes < DISK_BYTES_WARN:
        return Finding("disk", "WARN", shown, "free some space soon: the log only grows")
    return Finding("disk", "OK", shown)


# --- the clock ----------------------------------------------------------------------------------------------------


def clock_samples() -> tuple[tuple[int, int], tuple[int, int]]:
    """Wall time and monotonic time (ns), twice, a moment apart."""
    first = (time.time_ns(), time.monotonic_ns())
    time.sleep(CLOCK_SAMPLE_S)
    return first, (time.time_ns(), time.monotonic_ns())


def check_clock(samples: tuple[tuple[int, int], tuple[int, int]]) -> Finding:
    """Wall time is of this age, and does not jump."""
    (wall, steady), (wall_later, steady_later) = samples
    at = datetime.fromtimestamp(wall_later / SECOND_NS, UTC)
    cure = "let NTP (chrony, systemd-timesyncd) set the clock: a venue refuses orders of another time"
    if at.year not in YEARS_BELIEVED:
        return Finding("clock", "FAIL", f"it says {at:%Y-%m-%d}", cure)
    step_ms = ((wall_later - wall) - (steady_later - steady)) / 1e6
    if abs(step_ms) > CLOCK_STEP_MS_MAX:
        return Finding("clock", "WARN", f"wall time jumped by {step_ms:+.0f} ms within a moment", cure)
    return Finding("clock", "OK", f"{at:%Y-%m-%d %H:%M:%S} UTC, steady")


def _some(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN_MAX
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
