"""A whole native stack of the code in some source tree, as processes of their own: brought up, asked, stopped, each with the time it took."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIVE = "services are live"
UP_S_MAX = 240.0
STOP_S_MAX = 40.0
BLOCK = 40
"""So many ports a stack may take."""


class DrillFailed(Exception):
    """Something did not happen as it must; the text says what, with the last words of whoever failed."""


class Answer(dict[str, Any]):
    """What a command said in JSON; `code` is its exit code, `words` what it told people."""

    code: int = 0
    words: str = ""


class Stack:
    """The stack of the code in `tree`, over the state folder `home`."""

    def __init__(self, name: str, tree: Path, home: Path, port_base: int, settings: dict[str, str]):
        self.name = name
        self.home = home
        self._tree = tree
        self._scratch = home.parent
        self._port_base = port_base
        self._settings = settings
        self._screen = Path(os.devnull)
        self._process: subprocess.Popen[bytes] | None = None

    def over(self, home: Path) -> Stack:
        """The same code over another state folder; it keeps its tables there, in SQLite, and copies its log nowhere else."""
        settings = {
            name: value
            for name, value in self._settings.items()
            if name not in ("DATABASE_URL", "BULKHEAD_BACKUP_FOLDER")
        }
        return Stack(f"{self.name}-{home.name}", self._tree, home, self._port_base, settings)

    @property
    def shown(self) -> str:
        """What it has shown since its start."""
        return self._screen.read_text(errors="replace")

    def start(self, **settings: str) -> float:
        """Bring it up; returns after how many seconds all services were live.

        Raises:
            DrillFailed: they were not.
        """
        began = time.monotonic()
        self._launch(settings)
        self.until(LIVE, UP_S_MAX)
        return time.monotonic() - began

    def refused(self, **settings: str) -> tuple[int, str]:
        """Try to bring it up where it must refuse; returns its exit code and its last words.

        Raises:
            DrillFailed: it came up, or hangs.
        """
        process = self._launch(settings)
        try:
            code = process.wait(UP_S_MAX)
        except subprocess.TimeoutExpired:
            self.stop()
            raise DrillFailed(f"{self.name} came up where it must refuse") from None
        self._process = None
        return code, self.shown

    def until(self, text: str, seconds: float) -> float:
        """Return, with how long it took, once it has shown `text`.

        Raises:
            DrillFailed
        """
        began = time.monotonic()
        while text not in self.shown:
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() - began > seconds:
                raise DrillFailed(f"{self.name} did not show {text!r}: {self.shown[-1500:]}")
            time.sleep(0.1)
        return time.monotonic() - began

    def stop(self) -> float:
        """Stop it as Ctrl-C does; returns how long that took."""
        process, began = self._process, time.monotonic()
        if process is None:
            return 0.0
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise DrillFailed(f"{self.name} did not stop") from None
        finally:
            self._process = None
        return time.monotonic() - began

    def ask(self, *words: str, may_find: bool = False) -> Answer:
        """A command of this code, with `--json`.

        Raises:
            DrillFailed: it did not answer with exit code 0 (or 1, where it may find something).
        """
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "services.cli", "--home", str(self.home), *words, "--json"],
            cwd=self._scratch,
            env=self._environment({}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in ((0, 1) if may_find else (0,)):
            raise DrillFailed(f"{self.name}: bulkhead {' '.join(words)}: {done.returncode}: {done.stderr[-1500:]}")
        found = Answer(json.loads(done.stdout))
        found.code, found.words = done.returncode, done.stderr
        return found

    def _launch(self, settings: dict[str, str]) -> subprocess.Popen[bytes]:
        self._screen = self._scratch / f"{self.name}-{time.monotonic_ns()}.screen"
        with self._screen.open("wb") as screen:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.cli", "up"],
                cwd=self._scratch,
                env=self._environment(settings),
                stdout=screen,
                stderr=screen,
                start_new_session=True,
            )
        return self._process

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BULKHEAD_", "DATABASE_URL", "COLUMNS"))
        }
        told = {
            "BULKHEAD_HOME": str(self.home),
            "BULKHEAD_PORT_BASE": str(self._port_base),
            "PYTHONPATH": str(self._tree),
        }
        return {**ours, "COLUMNS": "400", **told, **self._settings, **settings}


def wait_until(holds: Callable[[], Any], seconds: float) -> float:
    """Return, with how long it took, once it holds.

    Raises:
        DrillFailed: it does not, for so long.
    """
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise DrillFailed(f"it took more than {seconds:g} s")
        time.sleep(0.3)
    return time.monotonic() - began


def free_block() -> int:
    """The first of a block of ports of the loopback that nobody uses now.

    Raises:
        DrillFailed: there is none.
    """
    for base in range(24_000, 31_000, BLOCK):
        if all(_is_free(port) for port in range(base, base + BLOCK)):
            return base
    raise DrillFailed("no block of free ports was found")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
