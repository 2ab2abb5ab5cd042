"""Real service processes that start at once: a process that has imported everything, and forks a service when it is asked to.

What runs in a child is `python -m services.<name>` to the letter: its own process, its own environment, its own `__main__`, and
SIGKILL and SIGSTOP do to it what they do to any process. Only the imports, a second and a half of them, were done before.

    start {"module": …, "env": {…}, "log": …}   →  a pid
    poll <pid>                                  →  its exit code, or null while it runs
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.cli.child import die_with_parent

PRELOADED = (
    "libs.runtime.process",
    "services.order_executor.adapters.ccxt_venue",
    "services.order_executor.machine",
    "services.order_executor.settings",
    "services.ledger.adapters.follower",
    "services.ledger.machine",
    "services.ledger.settings",
)
ROOT = Path(__file__).parents[2]


class Nursery:
    """The forking process, seen from a test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, module: str, env: dict[str, str], log: Path) -> int:
        """Start a service; its pid."""
        return int(self._ask("start", {"module": module, "env": env, "log": str(log)}))

    def poll(self, pid: int) -> int | None:
        """How a service ended; None while it runs, 0 minus the signal that killed it."""
        code: int | None = self._ask("poll", pid)
        return code

    def close(self) -> None:
        """End the forking process; what it started must have ended before."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, verb: str, what: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([verb, what]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def _serve() -> None:
    us = os.getpid()
    for name in PRELOADED:
        importlib.import_module(name)
    ended: dict[int, int] = {}
    for line in iter(sys.stdin.readline, ""):
        verb, what = json.loads(line)
        if verb == "start":
            answer: int | None = os.fork()
            if answer == 0:
                _become(us, what["module"], what["env"], what["log"])
        else:
            if what not in ended:
                pid, status = os.waitpid(what, os.WNOHANG)
                if pid:
                    ended[what] = os.waitstatus_to_exitcode(status)
            answer = ended.get(what)
        print(json.dumps(answer), flush=True)


def _become(parent: int, module: str, env: dict[str, str], log: str) -> None:
    """Be that service, and nothing else, until it ends, or we do."""
    arrange = die_with_parent(parent)
    if arrange is not None:
        arrange()
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(env)
    code = 70
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
