"""`python -m deploy.release.build` (`make release`): everything that a release is, from a committed tree, into `dist/`.

    clean tree, version not tagged, section in CHANGELOG.md ─▶ git archive HEAD ─▶ python/  chart/  manifests/  compose/  sbom/  RELEASE_NOTES.md ─▶ SHA256SUMS

Run twice it writes the same bytes: every time stamp is the commit's. Images are built where they run (`docker compose build`, with VERSION and REVISION
from the bundle's `.env`); nothing is uploaded.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.k8s.kustomization import OVERLAYS, manifest
from deploy.release.bill import bill_of
from deploy.release.changelog import NoSection, section
from deploy.release.packing import files_below, files_in, tar_gz
from deploy.release.previous import ROOT, NoHistory, Previous, checked_out
from deploy.release.versions import disagreeing, release
from services.cli.deploy.fleet import IMAGE_KINDS

COMPOSE = (
    "LICENSE",
    "docker-compose.yml",
    "pyproject.toml",
    "deploy/compose",
    "deploy/egress",
    "deploy/images",
    "deploy/nats",
    "deploy/postgres",
    "libs",
    "requirements/images",
    "services",
)
"""What `docker compose build` and `up` read."""
SUMS = "SHA256SUMS"
BUILD = "import sys; from setuptools import build_meta as b; to = sys.argv[1]; b.build_sdist(to); b.build_wheel(to)"
"""The folder is remembered first: setuptools writes over the arguments."""


class NotReleasable(Exception):
    """This tree is no release; the text says why and what to do."""


def main() -> None:
    """Build, and show what was built."""
    words = argparse.ArgumentParser(prog="make release", description=(__doc__ or "").splitlines()[0])
    words.add_argument("--dist", type=Path, default=ROOT / "dist", help="where it goes; what was there is removed")
    words.add_argument("--again", action="store_true", help="build what HEAD's own tag says, to compare its SHA256SUMS")
    told = words.parse_args()
    try:
        built = build(ROOT, told.dist, again=told.again)
    except (NotReleasable, NoSection, NoHistory) as error:
        sys.exit(f"no release: {error}")
    for line in (built / SUMS).read_text().splitlines():
        print(line)


def build(root: Path, dist: Path, *, again: bool = False) -> Path:
    """Everything of the release that is committed in `root`, in the folder `dist`.

    Raises:
        NotReleasable, NoSection, NoHistory: nothing was written.
    """
    head, epoch = releasable(root, again=again)
    with tempfile.TemporaryDirectory(prefix="bulkhead-release-") as scratch:
        tree, made = checked_out(head, Path(scratch) / "tree", root), Path(scratch) / "dist"
        notes = section((tree / "CHANGELOG.md").read_text(), head.version)
        _write(made / "RELEASE_NOTES.md", notes.encode())
        _write_deployments(tree, made, head, epoch)
        for image, kind in IMAGE_KINDS.items():
            bill = bill_of(f"bulkhead/{image}", head.version, tree / "requirements" / "images" / f"{kind}.lock", epoch)
            _write(made / "sbom" / f"{image}.cdx.json", bill.encode())
        _write_python(tree, made / "python", epoch)
        _write(made / SUMS, _sums(made).encode())
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(made, dist)
    return dist


def releasable(root: Path, *, again: bool = False) -> tuple[Previous, int]:
    """HEAD as a release, and the second of its commit.

    Raises:
        NotReleasable: uncommitted changes, versions that differ, or a version that was released before. NoHistory.
    """
    changed = _git(root, "status", "--porcelain")
    if changed:
        raise NotReleasable(f"{len(changed.splitlines())} files are not committed; commit or remove them (git status)")
    if found := disagreeing(root):
        raise NotReleasable(f"{'; '.join(found)}; say one version: python -m deploy.release.versions X.Y.Z")
    version, head = release(root), _git(root, "rev-parse", "HEAD")
    tagged = _git(root, "rev-list", "-n", "1", f"v{version}") if _git(root, "tag", "--list", f"v{version}") else ""
    if tagged and not again:
        raise NotReleasable(f"{version} was released from {tagged[:12]} (tag v{version}); a release has a new version")
    if again and tagged != head:
        raise NotReleasable(f"HEAD is not what v{version} was released from; check that out: git checkout v{version}")
    return Previous(version=version, revision=head, said_by="HEAD"), int(_git(root, "log", "-1", "--format=%ct"))


def _write_deployments(tree: Path, made: Path, head: Previous, epoch: int) -> None:
    chart, version = tree / "deploy" / "k8s" / "chart", head.version
    packed = files_below(chart, ".", prefix="bulkhead/")
    _write(made / "chart" / f"bulkhead-{version}.tgz", tar_gz(packed, epoch))
    for overlay in OVERLAYS:
        _write(made / "manifests" / f"bulkhead-{overlay}-{version}.yaml", manifest(chart, overlay).encode())
    name = f"bulkhead-compose-{version}"
    bundle = files_below(tree, *COMPOSE, prefix=f"{name}/")
    bundle[f"{name}/.env"] = (f"VERSION={version}\nREVISION={head.revision}\n".encode(), False)
    _write(made / "compose" / f"{name}.tar.gz", tar_gz(bundle, epoch))


def _write_python(tree: Path, folder: Path, epoch: int) -> None:
    """The last step: it leaves files in the tree."""
    folder.mkdir()
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    env.pop("PYTHONPATH", None)
    words = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(words, cwd=tree, env=env, capture_output=True, text=True, check=False, umask=0o022)  # noqa: S603
    if done.returncode:
        raise NotReleasable(f"the package does not build:\n{done.stderr[-2000:]}")
    for sdist in folder.glob("*.tar.gz"):  # setuptools writes into it when it was run, and by whom
        sdist.write_bytes(tar_gz(files_in(sdist), epoch))


def _sums(folder: Path) -> str:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in paths
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise NoHistory("git is not installed") from None
    if done.returncode:
        raise NoHistory(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
