"""`make dev` chooses between containers and processes by what it finds, and says in one line why it is not containers.

The engine is played by a program called `docker` that answers as one would; the real one is in tests/e2e/test_compose.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.style.tree import ROOT

DOCKER = """#!{python}
import sys
words = sys.argv[1:]
open({log!r}, "a").write(" ".join(words) + chr(10))
failing = {failing!r}
if any(" ".join(words).startswith(each) for each in failing):
    print("no such luck", file=sys.stderr)
    sys.exit(1)
"""


class Room:
    """A copy of what `make dev` runs, with programs of ours in the place of the engine and of `bulkhead`."""

    def __init__(self, folder: Path):
        self.root = folder / "project"
        self.said = folder / "said"
        self.bin = folder / "bin"
        for each in (self.root / "deploy" / "compose", self.bin):
            each.mkdir(parents=True)
        shutil.copy(ROOT / "deploy" / "compose" / "dev.py", self.root / "deploy" / "compose")
        (self.bin / "python").symlink_to(sys.executable)
        self._program("bulkhead", ())

    def _program(self, name: str, failing: tuple[str, ...]) -> None:
        path = self.bin / name
        path.write_text(DOCKER.format(python=sys.executable, log=str(self.said), failing=failing))
        path.chmod(0o700)

    def dev(self, *failing: str, docker: bool = True, **told: str) -> str:
        """What `make dev` says; `failing` are the beginnings of what Docker cannot do."""
        if docker:
            self._program("docker", failing)
        script = "import sys; sys.executable = sys.argv.pop(1); import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
        done = subprocess.run(
            [sys.executable, "-c", script, str(self.bin / "python"), str(self.root / "deploy" / "compose" / "dev.py")],
            env={"PATH": f"{self.bin}", "HOME": os.environ.get("HOME", "/"), **told},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def commands(self) -> list[str]:
        """What was run, in order."""
        return self.said.read_text().splitlines()


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """Nobody has run anything in it."""
    return Room(tmp_path)


def test_where_docker_answers_it_runs_in_containers_and_takes_them_down_again(room: Room) -> None:
    """Secrets, images, containers, a token, the log as it grows; and nothing is left running."""
    assert "in containers" in room.dev()
    assert room.commands[-6:] == [
        "deploy keys",
        "compose build --quiet",
        "compose up -d --wait",
        "deploy token me --scope operate",
        "compose run --rm cli tail",
        "compose down",
    ]


@pytest.mark.parametrize(
    ("failing", "reason"),
    [
        (("version",), "no Docker engine answers"),
        (("compose version",), "Docker has no Compose"),
        (("image inspect nats", "manifest inspect nats"), "the image nats:2.15-alpine cannot be had"),
        (("image inspect nats", "pull --quiet nats"), "the image nats:2.15-alpine cannot be had"),
        (("compose build",), "the images cannot be built (no such luck)"),
        (("compose up",), "the containers do not come up (no such luck)"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line_and_processes_run(
    room: Room, failing: tuple[str, ...], reason: str
) -> None:
    """Whatever is missing, the system runs."""
    said = room.dev(*failing)
    assert said.splitlines()[-1] == f"make dev: {reason}; running as processes of this machine"
    assert room.commands[-1] == "up"
    assert ("compose down" in room.commands) == (failing == ("compose up",)), "what was begun is taken down"


def test_an_image_that_is_not_there_is_fetched(room: Room) -> None:
    """A machine that has never seen the image may still get it."""
    room.dev("image inspect postgres")
    assert "pull --quiet postgres:17" in room.commands
    assert room.commands[-1] == "compose down"


def test_without_docker_it_runs_as_processes(room: Room) -> None:
    """Docker is optional."""
    assert "no Docker engine answers" in room.dev(docker=False)
    assert room.commands == ["up"]


def test_who_asks_for_processes_gets_them_without_a_word(room: Room) -> None:
    """NATIVE=1: the engine is not even asked."""
    assert room.dev(NATIVE="1") == ""
    assert room.commands == ["up"]


def test_settings_of_the_environment_are_not_lost_on_containers(room: Room) -> None:
    """They are the settings of processes; who has set some would wonder why nothing came of it."""
    said = room.dev(BULKHEAD_SIM_SPEED="5")
    assert "BULKHEAD_SIM_SPEED set, which containers do not read" in said
    assert room.commands == ["up"]


def test_a_book_that_was_begun_goes_on(room: Room) -> None:
    """Whoever installs Docker later finds his book again."""
    (room.root / ".bulkhead" / "nats" / "store").mkdir(parents=True)
    assert "the book in .bulkhead goes on" in room.dev()
    assert room.commands == ["up"]
