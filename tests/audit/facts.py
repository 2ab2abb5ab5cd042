"""What the audit measures itself: figures to tell beside a verdict, and tools whose answer is one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from services.cli.deploy.fleet import IMAGE_KINDS
from tests.style.secret_excuses import EXCUSED
from tests.style.secret_scan import scan_history
from tests.style.test_sql import NAMES_WRITTEN
from tests.style.tree import ROOT, files
from tests.unit.deploy.images import LOCKS, locked

Verdict = Literal["PASS", "FAIL", "NOT RUN"]
APART = ROOT / ".bulkhead-audit" / "bin"
UNREACHABLE = "the service that knows is out of reach from here"
PROBE = "requirements/images/build.lock"
"""One package: whether the service answers at all is asked with the shortest lock."""


class Seen(msgspec.Struct, frozen=True):
    """What was seen, and what follows."""

    verdict: Verdict
    words: str


class Tool(msgspec.Struct, frozen=True):
    """A command, and how it is run and read."""

    command: str
    look: Callable[[], Seen]


def scanned() -> str:
    """How much was read for secrets."""
    _, versions = scan_history(ROOT)
    read = f"{len(files()):,} files and {versions:,} versions in the history read"
    return f"{read}; {len(EXCUSED)} texts excused, by fingerprint and reason"


def names_in_sql() -> str:
    """How many places write a name into a statement."""
    return f"{len(NAMES_WRITTEN)} functions write a name of our own into a statement, each listed with its origin"


def locks() -> str:
    """How much is locked."""
    found = [path for path in files() if path.suffix == ".lock"]
    return f"{len(found)} locks, {sum(len(locked(ROOT / path)) for path in found):,} pins"


def executors_packages() -> str:
    """How little is beside the venue's key."""
    lock = LOCKS / f"{IMAGE_KINDS['order-executor']}.lock"
    return f"the executor's image holds {len(locked(lock))} packages"


def _run(*words: str, seconds: float = 300.0, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(words), cwd=folder, capture_output=True, text=True, check=False, timeout=seconds)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _hooks() -> Seen:
    """With the interpreter that this environment was made from, which starts nothing of it."""
    done = _run(sys._base_executable, "-S", "-E", "-m", "services.cli.startup", ".venv")
    if done.returncode == 2:
        return Seen("NOT RUN", _last_line(done.stderr))
    return Seen("PASS" if done.returncode == 0 else "FAIL", _last_line(done.stdout or done.stderr))


def _ruff() -> Seen:
    done = _run(sys.executable, "-m", "ruff", "check", "--select", "S", "--ignore", "S101", ".")
    return Seen("PASS" if done.returncode == 0 else "FAIL", f"ruff: {_last_line(done.stdout).lower()}")


def _vulnerabilities() -> Seen:
    """`--strict`, because without it whatever cannot be looked up counts as sound; what is told about no package at all is no audit."""
    tool = APART / "pip-audit"
    if not tool.exists():
        return Seen("NOT RUN", "pip-audit is not installed: run `make audit`")
    options = [
        str(tool),
        "--strict",
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    if (probe := _run(*options, "-r", PROBE, seconds=60)).returncode and not _holes(probe.stdout):
        return Seen("NOT RUN", f"{UNREACHABLE}: {_last_line(probe.stderr)[:160]}")
    done = _run(*options, "-r", "requirements/dev.lock", seconds=900)
    if holes := _holes(done.stdout):
        return Seen("FAIL", f"pip-audit: {', '.join(holes)}")
    if done.returncode:
        return Seen("NOT RUN", _last_line(done.stderr)[:160])
    return Seen("PASS", f"pip-audit: none in {len(json.loads(done.stdout)['dependencies'])} releases")


def _holes(report: str) -> list[str]:
    try:
        found = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return []
    return [f"{each['name']} {each['version']}: {hole['id']}" for each in found for hole in each.get("vulns", ())]


def _ages() -> Seen:
    """The locks are made again from themselves, in a folder of their own: a release that is too young could not be chosen again."""
    uv = APART / "uv"
    if not uv.exists():
        return Seen("NOT RUN", "uv is not installed: run `make audit`")
    with tempfile.TemporaryDirectory() as folder:
        done = _made_again(uv, Path(folder))
        if done.returncode:
            return Seen("NOT RUN", f"the index is out of reach, or tells no dates: {_last_line(done.stderr)[:160]}")
        there, again = locked(ROOT / "requirements" / "dev.lock"), locked(Path(folder) / "dev.lock")
    other = sorted(name for name in there | again if there.get(name) != again.get(name))
    if other:
        return Seen("FAIL", f"not what the resolver would choose after the cool-down: {', '.join(other)}")
    return Seen("PASS", f"{len(there)} releases of requirements/dev.lock, none too young")


def _made_again(uv: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (folder / "dev.lock").write_bytes((ROOT / "requirements" / "dev.lock").read_bytes())
    options = [
        "--quiet",
        "--generate-hashes",
        "--no-header",
        "--no-emit-index-url",
        "--universal",
        "--python-version",
        "3.11",
    ]
    return _run(
        str(uv), "pip", "compile", *options, "--group", "dev", "pyproject.toml", "-o", "dev.lock", folder=folder
    )


HOOKS = Tool("python3 -S -E -m services.cli.startup .venv", _hooks)
RUFF = Tool(".venv/bin/ruff check --select S --ignore S101 .", _ruff)
VULNERABILITIES = Tool(
    ".bulkhead-audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/dev.lock", _vulnerabilities
)
AGES = Tool("make lock && git diff --exit-code requirements/dev.lock", _ages)
