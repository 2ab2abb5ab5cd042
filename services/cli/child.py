"""One child process: started, its words kept in a bounded log, restarted when it ends unasked, stopped when asked.

A child is a session of its own, so that a Ctrl-C at the terminal reaches only the supervisor, who knows the order in which to
stop. On Linux it dies with its supervisor, even when that is killed with -9: nothing keeps trading that nobody watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable

import msgspec

from services.cli.log_file import LogFolder
from services.cli.restart_policy import RestartLimits, RestartPolicy

EX_CONFIG = 78
LINE_BYTES_MAX = 256 * 1024
LAST_LINES = 12

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: a command, its environment, and the port it answers on once it is up (0: not waited for).

    `is_essential`: when it refuses its settings (exit code 78), nothing else goes on without it.
    """

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = {}
    port: int = 0
    is_essential: bool = True


class ChildRefused(Exception):
    """A child cannot run with these settings (exit code 78); the text is the child's own."""


class Child:
    """One process, for as long as the supervisor lives. `say` prints a line for the operator, `hear` is told its lines."""

    def __init__(
        self,
        spec: ChildSpec,
        logs: LogFolder,
        limits: RestartLimits,
        say: Callable[[str], None],
        hear: Callable[[bytes], None] | None = None,
    ):
        self.spec = spec
        self.policy = RestartPolicy(limits)
        self.pid = 0
        self._log = logs.log(spec.name)
        self._limits = limits
        self._say = say
        self._hear = hear
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def is_running(self) -> bool:
        """Whether the process lives now."""
        return self._process is not None and self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The end of what it has said."""
        return "\n".join(self._last)

    async def keep_running(self) -> None:
        """Run it, and again whenever it ends unasked; returns after `stop`.

        Raises:
            ChildRefused: its settings are bad; trying again would not help.
        """
        try:
            while not self._stopping.is_set():
                started_at = time.monotonic()
                code = await self._run_once()
                if self._stopping.is_set():
                    return
                if code == EX_CONFIG and self.spec.is_essential:
                    raise ChildRefused(self.last_words or f"{self.spec.name} refuses its settings")
                await self._pause(code, started_at)
        finally:
            self.kill()
            self._log.close()

    async def stop(self, deadline_s: float) -> bool:
        """Ask it to end; kill it at the deadline. True if it ended by itself."""
        self._stopping.set()
        if not self.is_running or self._process is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(deadline_s):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End it now."""
        if self.is_running and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self.spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.spec.env,
            start_new_session=True,
            limit=LINE_BYTES_MAX,
            preexec_fn=die_with_parent(os.getpid()),
        )
        self._process, self.pid = process, process.pid
        if self._stopping.is_set():  # told to stop while it was being born
            process.terminate()
        if process.stdout is not None:
            await self._keep_words(process.stdout)
        return await process.wait()

    async def _keep_words(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than LINE_BYTES_MAX: asyncio has dropped it
                line = b"(a line too long to keep)\n"
            if not line:
                return
            self._log.write(line)
            if self._hear is not None:
                self._hear(line)
            self._last.append(line.decode(errors="replace").rstrip()[:2000])

    async def _pause(self, code: int, started_at: float) -> None:
        restart = self.policy.ended(started_at, time.monotonic())
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if restart.is_loop:
            self._say(
                f"CRASH LOOP: {self.spec.name} {how}, the {self._limits.loop_crashes}th time within"
                f" {self._limits.loop_window_s:g} s; next try in {restart.delay_s:g} s. It said last:\n{self.last_words}"
            )
        else:
            self._say(f"{self.spec.name} {how}; again in {restart.delay_s:g} s")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(restart.delay_s):
                await self._stopping.wait()


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child runs between fork and exec, so that the kernel kills it when its parent is gone (Linux; elsewhere None)."""
    libc = _libc
    if libc is None:
        return None

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we could say so
            os._exit(EX_CONFIG)

    return arrange
