"""What a release is: one version everywhere, a changelog that has its section, archives that are the same to the byte, bills that say what the locks say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import helm_python
import pytest

from deploy.release.bill import bill_of, locked
from deploy.release.build import SUMS, NotReleasable, build, releasable
from deploy.release.changelog import NoSection, faults, section
from deploy.release.packing import files_in, tar_gz
from deploy.release.previous import NoHistory, previous
from deploy.release.versions import PLACES, disagreeing, release, stated, write
from libs.runtime.version import version
from services.cli.deploy.fleet import IMAGE_KINDS
from tests.style.tree import ROOT
from tests.unit.deploy.images import locked as pins

LOCKS = ROOT / "requirements" / "images"


def git(root: Path, *words: str) -> str:
    """Git as somebody, in `root`."""
    who = {f"GIT_{role}_{part}": "a@b" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, env={**os.environ, **who}
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What is committed here, as a repository of its own in which 0.1.0 could be released: its changelog has a section."""
    if subprocess.run(["git", "-C", str(ROOT), "rev-parse"], capture_output=True, check=False).returncode:
        pytest.skip("there is no git history here")
    folder = tmp_path / "clone"
    git(ROOT, "clone", "--quiet", "--no-local", "--depth=1", f"file://{ROOT}", str(folder))
    changelog = folder / "CHANGELOG.md"
    heading = f"## Unreleased\n\n## {release()}, 2026-12-01"
    changelog.write_text(changelog.read_text().replace("## Unreleased", heading, 1))
    git(folder, "commit", "--quiet", "--all", "--message", "A release")
    return folder


def test_one_version_is_said_everywhere(tmp_path: Path) -> None:
    """Images, chart and pages follow pyproject.toml; a new one is written into all of them at once, and into nothing else."""
    assert disagreeing() == []
    assert version() == release()
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text((ROOT / place).read_text())
    write("7.8.9", tmp_path)
    assert {each for found in stated(tmp_path).values() for each in found} == {"7.8.9"}
    (tmp_path / "deploy/images/Dockerfile").write_text("ARG VERSION=7.8.8\n")
    assert disagreeing(tmp_path) == ["deploy/images/Dockerfile says ['7.8.8']"]
    write(release(), tmp_path)
    assert (tmp_path / "docker-compose.yml").read_text() == (ROOT / "docker-compose.yml").read_text()


def test_images_are_labelled_with_version_and_commit() -> None:
    """Whoever finds one knows what it was built from."""
    text = (ROOT / "deploy/images/Dockerfile").read_text()
    assert 'org.opencontainers.image.version="${VERSION}"' in text
    assert 'org.opencontainers.image.revision="${REVISION}"' in text
    assert 'VERSION: "${VERSION:-' in (compose := (ROOT / "docker-compose.yml").read_text())
    assert 'REVISION: "${REVISION:-}"' in compose


def test_the_changelog_is_one_that_a_release_can_be_cut_from() -> None:
    """What is not released stands first, then releases, the newest first."""
    assert faults((ROOT / "CHANGELOG.md").read_text()) == []
    assert faults("## 1.0.0, 2026-01-01\n") == ["the first section is not 'Unreleased'"]
    assert faults("## Unreleased\n## 1.0\n") == ["'1.0' is no release: write `## X.Y.Z, YYYY-MM-DD`"]
    wrong = "## Unreleased\n## 0.9.0, 2026-01-01\n## 0.10.0, 2026-02-01\n"
    assert faults(wrong) == ["releases are not in order, the newest first, each once"]


def test_notes_are_the_section_of_the_version() -> None:
    """And there are none where it says nothing, or where it is not the newest."""
    text = "# C\n\n## Unreleased\n\n## 0.2.0, 2026-02-01\n\n### Added\n- b\n\n## 0.1.0, 2026-01-01\n\n- a\n"
    assert section(text, "0.2.0") == "## 0.2.0, 2026-02-01\n\n### Added\n- b\n"
    for asked, word in (("0.3.0", "no section"), ("0.1.0", "not the first"), ("0.2", "no section")):
        with pytest.raises(NoSection, match=word):
            section(text, asked)
    with pytest.raises(NoSection, match="says nothing"):
        section("## Unreleased\n\n## 0.2.0, 2026-02-01\n\n## 0.1.0, 2026-01-01\n- a\n", "0.2.0")


@pytest.mark.parametrize("kind", sorted(set(IMAGE_KINDS.values())))
def test_a_bill_names_what_its_lock_pins(kind: str) -> None:
    """Every library of the lock that Linux installs, with the very hashes that pip asks for, and nothing beside them."""
    lock = LOCKS / f"{kind}.lock"
    bill = json.loads(bill_of(f"bulkhead/{kind}", "1.2.3", lock, 1_700_000_000))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    found = {each["name"]: each["version"] for each in bill["components"]}
    pinned = pins(lock)
    assert found.items() <= pinned.items()
    elsewhere = {"colorama", "tzdata", "pywin32", "winloop", "exceptiongroup", "async-timeout"}
    assert pinned.keys() - found.keys() <= elsewhere
    assert all(each["hashes"] for each in bill["components"])
    hashes = {each["content"] for part in bill["components"] for each in part["hashes"]}
    assert all(f"--hash=sha256:{each}" in lock.read_text() for each in hashes)
    assert bill_of("bulkhead/x", "1", lock, 5) == bill_of("bulkhead/x", "1", lock, 5)


def test_what_is_for_another_system_is_in_no_bill() -> None:
    """A universal lock pins for Windows too; an image does not hold it."""
    lock = (
        "a==1 \\\n    --hash=sha256:" + "0" * 64 + "\nb==2 ; sys_platform == 'win32' \\\n    --hash=sha256:" + "1" * 64
    )
    assert [(each.name, each.hashes) for each in locked(lock)] == [("a", ["0" * 64])]


def test_an_archive_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    """Its bytes follow from its files and their one time, not from their order."""
    files = {"b/x": (b"x", True), "a": (b"a", False)}
    packed = tar_gz(files, 9)
    assert packed == tar_gz(dict(reversed(files.items())), 9) != tar_gz(files, 10)
    (tmp_path / "x.tar.gz").write_bytes(packed)
    assert files_in(tmp_path / "x.tar.gz") == files


def test_a_tree_that_is_no_release_is_refused(clone: Path) -> None:
    """Uncommitted files, a version that was released, two versions at once: words, and nothing is written."""
    assert releasable(clone)[0].version == release()
    (clone / "stray").write_text("")
    with pytest.raises(NotReleasable, match="1 files are not committed"):
        build(clone, clone / "dist")
    (clone / "stray").unlink()
    git(clone, "tag", f"v{release()}")
    with pytest.raises(NotReleasable, match=f"{release()} was released from"):
        build(clone, clone / "dist")
    assert releasable(clone, again=True)[0].version == release(), "its own tag may be built again, to compare"
    (clone / "pyproject.toml").write_text((clone / "pyproject.toml").read_text().replace(release(), "0.9.0", 1))
    git(clone, "commit", "--quiet", "--all", "--message", "Half a version")
    with pytest.raises(NotReleasable, match=f"docker-compose.yml says .*{release()}"):
        build(clone, clone / "dist")
    assert not (clone / "dist").exists()


def test_the_previous_release_is_the_newest_tag_before_this_commit(clone: Path) -> None:
    """A tag on HEAD itself is this release; without any tag the record says it, and where git does not know the commit it says so."""
    with pytest.raises(NoHistory):  # a clone without history
        previous(clone)
    first = git(clone, "rev-parse", "HEAD")
    for tag in ("v0.9.0", "v0.10.0"):
        git(clone, "tag", tag)
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "On")
    found = previous(clone)
    assert (found.version, found.revision) == ("0.10.0", first)
    git(clone, "tag", "v0.11.0")
    assert previous(clone).version == "0.10.0"


def test_two_builds_of_one_commit_are_the_same_to_the_byte(clone: Path, tmp_path: Path) -> None:
    """And what comes out is a release: a chart that Helm loads, a bundle with everything compose reads, a bill for each image, a hash for each file."""
    one, two = (build(clone, tmp_path / name) for name in ("one", "two"))
    sums = (one / SUMS).read_text()
    assert sums == (two / SUMS).read_text()
    files = {path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file()} - {SUMS}
    assert {line.split("  ")[1] for line in sums.splitlines()} == files
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    assert {name for name in files if name.startswith("sbom/")} == {f"sbom/{image}.cdx.json" for image in IMAGE_KINDS}
    assert {Path(name).suffix for name in files if name.startswith("python/")} == {".whl", ".gz"}
    chart = tmp_path / "chart"
    for name, (content, _) in files_in(one / "chart" / f"bulkhead-{release()}.tgz").items():
        (chart / name).parent.mkdir(parents=True, exist_ok=True)
        (chart / name).write_bytes(content)
    with helm_python.Chart.load(chart / "bulkhead") as loaded:
        assert loaded.render({}, name="bulkhead", namespace="book", is_install=True)
    name = f"bulkhead-compose-{release()}"
    bundle = files_in(one / "compose" / f"{name}.tar.gz")
    head = git(clone, "rev-parse", "HEAD")
    assert bundle[f"{name}/.env"][0].decode() == f"VERSION={release()}\nREVISION={head}\n"
    for wanted in (
        "docker-compose.yml",
        "deploy/images/Dockerfile",
        "services/ledger/__main__.py",
        "deploy/postgres/pg_hba.conf",
    ):
        assert f"{name}/{wanted}" in bundle
