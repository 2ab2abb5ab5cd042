"""`make dev`: the whole system, in containers where a Docker engine answers, else as processes of this machine; Ctrl-C stops it.

    asked for processes? (NATIVE=1, settings in the environment, a state folder from before)  ─▶ processes
    an engine, Compose, the images it stands on, a build that works?                          ─▶ containers
    anything of that missing                                                                  ─▶ one line that says what, processes

The settings of the environment are those of `bulkhead up`; containers read deploy/compose/<mode>.env and .bulkhead-deploy/settings.env instead. So who has set
any (or goes on with a state folder) means processes, and gets them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BASES = ("python:3.12-slim", "nats:2.15-alpine", "postgres:17")
"""What our images and containers stand on, where no variable of docker-compose.yml names others."""
NAMED_BY = ("PYTHON_IMAGE", "NATS_IMAGE", "POSTGRES_IMAGE")
ANSWER_S_MAX = 10.0
PULL_S_MAX = 180.0
BUILD_S_MAX = 1_200.0


class Native(Exception):
    """Processes it is; the text says why, "" where that needs no words."""


def main() -> int:
    """Run it until Ctrl-C; the exit code of what was run."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _must_be_wanted(os.environ)
        _must_be_had(os.environ)
        return _contained()
    except Native as reason:
        if str(reason):
            print(f"make dev: {reason}; running as processes of this machine", flush=True)
        os.execv(BIN / "bulkhead", ["bulkhead", "up"])  # noqa: S606  (no shell is wanted)
    except KeyboardInterrupt:
        return 0  # stopped as asked


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _must_be_wanted(environment: Mapping[str, str]) -> None:
    """Return where nobody has said something that containers would not hear."""
    if environment.get("NATIVE"):
        raise Native
    told = sorted(name for name in environment if name.startswith("BULKHEAD_"))
    if told:
        raise Native(f"{', '.join(told[:3])}{' ...' if told[3:] else ''} set, which containers do not read")
    if (ROOT / ".bulkhead" / "nats" / "store").is_dir():
        raise Native("the book in .bulkhead goes on")


def _must_be_had(environment: Mapping[str, str]) -> None:
    """Return where an engine answers and has, or gets, every image that ours stand on."""
    if not _does("docker", "version", "--format", "{{.Server.Version}}", seconds=ANSWER_S_MAX):
        raise Native("no Docker engine answers")
    if not _does("docker", "compose", "version", seconds=ANSWER_S_MAX):
        raise Native("Docker has no Compose")
    for variable, usual in zip(NAMED_BY, BASES, strict=True):
        image = environment.get(variable) or usual
        if _does("docker", "image", "inspect", image, seconds=ANSWER_S_MAX):
            continue
        is_offered = _does("docker", "manifest", "inspect", image, seconds=ANSWER_S_MAX)  # no network: soon known
        if not (is_offered and _does("docker", "pull", "--quiet", image, seconds=PULL_S_MAX)):
            raise Native(f"the image {image} cannot be had")


def _contained() -> int:
    print(
        "make dev: in containers (the first time some minutes are spent on images; NATIVE=1 make dev runs processes)",
        flush=True,
    )
    _must_work("the secrets cannot be made", str(BIN / "bulkhead"), "deploy", "keys", seconds=60.0)
    _must_work("the images cannot be built", "docker", "compose", "build", "--quiet", seconds=BUILD_S_MAX)
    try:
        _must_work("the containers do not come up", "docker", "compose", "up", "-d", "--wait", seconds=300.0)
        _greet()
        shown = subprocess.run(("docker", "compose", "run", "--rm", "cli", "tail"), cwd=ROOT, check=False)  # noqa: S607
        return shown.returncode
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once more is not a reason to leave containers behind
        subprocess.run(("docker", "compose", "down"), cwd=ROOT, check=False)  # noqa: S607


def _greet() -> None:
    subprocess.run((str(BIN / "bulkhead"), "deploy", "token", "me", "--scope", "operate"), cwd=ROOT, check=False)  # noqa: S603
    print(
        f"the console: https://localhost:{os.environ.get('CONSOLE_PORT', '8080')}   (its authority: .bulkhead-deploy/keys/authority.pem)\n"
        "how things stand: docker compose run --rm cli status   (docs/DEPLOYMENT.md)\n"
        "Ctrl-C stops it; the book stays in its volumes",
        flush=True,
    )


def _must_work(what: str, *command: str, seconds: float) -> None:
    """Return when it has worked.

    Raises:
        Native: it has not; the last thing it said is in the reason.
    """
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise Native(f"{what} within {seconds:g} s") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Native(f"{what} ({said[-1][:200] if said else f'exit code {done.returncode}'})")


def _does(*command: str, seconds: float) -> bool:
    """Whether a command works, in time."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=seconds, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
