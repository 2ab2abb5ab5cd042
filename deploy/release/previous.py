"""The code of the release before this one: which it is, and a copy of it in a folder of its own.

The newest tag `v...` that HEAD descends from says it, or previous.toml as long as there is none. Without git's history (a source archive) nobody can say it.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import tomllib
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("previous.toml")
LOCK = Path("requirements", "dev.lock")
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


class NoHistory(Exception):
    """The previous release cannot be had here; the text says why."""


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """A release: its version, its commit, and who says that it is the one before this."""

    version: str
    revision: str
    said_by: str


def previous(root: Path = ROOT) -> Previous:
    """The release before what is checked out in `root`.

    Raises:
        NoHistory: git does not know its commit.
    """
    here = _git(root, "rev-parse", "HEAD").strip()
    for tag in _git(root, "tag", "--merged", "HEAD", "--sort=-version:refname", "--list", "v[0-9]*").split():
        revision = _git(root, "rev-list", "-n", "1", tag).strip()
        if revision != here:
            return Previous(version=tag.removeprefix("v"), revision=revision, said_by=f"the tag {tag}")
    said = tomllib.loads((root / RECORD.relative_to(ROOT)).read_text())
    revision = _git(root, "rev-parse", "--verify", "--quiet", f"{said['revision']}^{{commit}}").strip()
    return Previous(version=said["version"], revision=revision, said_by=RECORD.name)


def checked_out(release: Previous, folder: Path, root: Path = ROOT) -> Path:
    """Its source tree in the new folder `folder`, without a history.

    Raises:
        NoHistory
    """
    packed = _run(root, "archive", "--format=tar", release.revision)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def other_dependencies(tree: Path, root: Path = ROOT) -> list[str]:
    """Libraries that the other tree's lock names in another version than this one's: it runs here with ours."""
    theirs, ours = (dict(_PINNED.findall((each / LOCK).read_text())) for each in (tree, root))
    return [
        f"{name} {version}, here {ours.get(name, 'none')}"
        for name, version in sorted(theirs.items())
        if ours.get(name) != version
    ]


def _git(root: Path, *words: str) -> str:
    return _run(root, *words).decode()


def _run(root: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise NoHistory("git is not installed") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip() or "it knows no such commit"
        raise NoHistory(f"git {words[0]}: {reason}")
    return done.stdout
