"""`bulkhead deploy seal`: secrets at rest are one encrypted file, which opens for whom it was sealed, whole or not at all."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pyrage
import pytest
from typer.testing import CliRunner

from libs.runtime.nats_config import KeysError
from services.cli.app import app
from services.cli.deploy.key_files import make_keys
from services.cli.deploy.sealing import is_memory, new_identity, seal, unseal
from services.cli.exit_codes import Failure


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A deployment's secrets."""
    make_keys(tmp_path / "home")
    return tmp_path / "home"


def contents(home: Path) -> dict[str, bytes]:
    """Every file below it."""
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_what_was_sealed_comes_back_to_the_byte(home: Path, tmp_path: Path) -> None:
    """For each of those it was sealed for, into an empty folder, for its owner alone; and no line of a secret stands in the sealed file."""
    people = [new_identity(tmp_path / name) for name in ("ada", "bob")]
    count = seal(home, people, tmp_path / "secrets.age")
    for name in ("ada", "bob"):
        assert unseal(tmp_path / "secrets.age", tmp_path / name, tmp_path / f"of-{name}") == count
        assert contents(tmp_path / f"of-{name}") == contents(home)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "of-ada").rglob("*") if path.is_file()}
    assert modes == {0o600}
    cipher = (tmp_path / "secrets.age").read_bytes()
    assert not [name for name, body in contents(home).items() if body.strip()[:32] in cipher]


def test_a_deployment_goes_on_from_what_was_sealed(home: Path, tmp_path: Path) -> None:
    """`deploy keys` finds everything there: no new key is made that nobody knows."""
    seal(home, [new_identity(tmp_path / "ada")], tmp_path / "secrets.age")
    unseal(tmp_path / "secrets.age", tmp_path / "ada", tmp_path / "again")
    assert make_keys(tmp_path / "again").new == ()


def test_nobody_else_opens_it(home: Path, tmp_path: Path) -> None:
    """Another identity, a changed byte, a shorter file: nothing is written."""
    seal(home, [new_identity(tmp_path / "ada")], tmp_path / "secrets.age")
    new_identity(tmp_path / "eve")
    whole = (tmp_path / "secrets.age").read_bytes()
    damaged = {
        "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "short": whole[:-100],
        "other": b"not sealed",
    }
    for name, body in damaged.items():
        (tmp_path / name).write_bytes(body)
    for file, identity in (("secrets.age", "eve"), *((name, "ada") for name in damaged)):
        with pytest.raises(Failure, match="does not open"):
            unseal(tmp_path / file, tmp_path / identity, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", ["../keys/x", "keys/../../x", "/etc/passwd", "elsewhere/x", "keys/.hidden", "keys/sub/x"]
)
def test_what_would_write_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever knows a public key can seal anything for it: only plain files where secrets stand are taken."""
    recipient = pyrage.x25519.Recipient.from_str(new_identity(tmp_path / "ada"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        head = tarfile.TarInfo(name)
        head.size = 1
        tar.addfile(head, io.BytesIO(b"x"))
    (tmp_path / "alien.age").write_bytes(pyrage.encrypt(packed.getvalue(), [recipient]))
    with pytest.raises(Failure, match="something else"):
        unseal(tmp_path / "alien.age", tmp_path / "ada", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_is_no_secret(tmp_path: Path) -> None:
    """A link inside could make the next file land anywhere."""
    recipient = pyrage.x25519.Recipient.from_str(new_identity(tmp_path / "ada"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        head = tarfile.TarInfo("keys/link")
        head.type, head.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(head)
    (tmp_path / "alien.age").write_bytes(pyrage.encrypt(packed.getvalue(), [recipient]))
    with pytest.raises(Failure, match="something else"):
        unseal(tmp_path / "alien.age", tmp_path / "ada", tmp_path / "out")


def test_secrets_that_are_there_are_not_written_over(home: Path, tmp_path: Path) -> None:
    """Which of two keys is the right one, nobody here can know."""
    seal(home, [new_identity(tmp_path / "ada")], tmp_path / "secrets.age")
    before = contents(home)
    with pytest.raises(Failure, match="already"):
        unseal(tmp_path / "secrets.age", tmp_path / "ada", home)
    assert contents(home) == before
    with pytest.raises(Failure, match="already"):
        new_identity(tmp_path / "ada")


def test_an_identity_that_others_can_read_is_refused(home: Path, tmp_path: Path) -> None:
    """What opens everything is held as tightly as what it opens; and nobody is sealed for by a word that is no key."""
    seal(home, [new_identity(tmp_path / "ada")], tmp_path / "secrets.age")
    (tmp_path / "ada").chmod(0o644)
    with pytest.raises(KeysError, match="readable by others"):
        unseal(tmp_path / "secrets.age", tmp_path / "ada", tmp_path / "out")
    with pytest.raises(Failure, match="no public key"):
        seal(home, ["age1nobody"], tmp_path / "x.age")
    with pytest.raises(Failure, match="nobody"):
        seal(home, [], tmp_path / "x.age")
    with pytest.raises(Failure, match="nothing to seal"):
        seal(tmp_path / "empty", [new_identity(tmp_path / "bob")], tmp_path / "x.age")


def test_the_command_says_whether_they_lie_on_a_disk(home: Path, tmp_path: Path) -> None:
    """Opened into memory they are forgotten with the power; opened onto a disk they lie there in plain, and that is said."""
    public = CliRunner().invoke(app, ["deploy", "identity", str(tmp_path / "ada")]).stdout.strip()
    sealed = CliRunner().invoke(app, ["deploy", "seal", str(tmp_path / "s.age"), "--to", public, "--home", str(home)])
    assert sealed.exit_code == 0, sealed.output
    out = tmp_path / "out"
    words = ["deploy", "unseal", str(tmp_path / "s.age"), "--identity", str(tmp_path / "ada"), "--home", str(out)]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    assert ("in plain" in told.stdout) is not is_memory(out)
    assert is_memory(Path("/dev/shm/x")) or not Path("/dev/shm").is_mount()
    assert not is_memory(Path("/proc/x"))


@pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed here")
def test_age_itself_opens_it(home: Path, tmp_path: Path) -> None:
    """`age -d | tar x` is a way in without this program."""
    seal(home, [new_identity(tmp_path / "ada")], tmp_path / "secrets.age")
    opened = subprocess.run(
        ["age", "-d", "-i", tmp_path / "ada", tmp_path / "secrets.age"], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(opened.stdout)) as tar:
        assert "keys/risk-gate.nk" in tar.getnames()
