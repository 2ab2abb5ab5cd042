"""A deployment's secrets at rest: one file, encrypted with age to people's public keys, which may lie in a repository or a backup.

    seal ──▶ secrets.age ──▶ (version control, another machine) ──▶ unseal into a folder that is memory, not disk ──▶ docker compose up

Inside is a tar of `keys/`, `bus/` and `tokens/`, so that `age -d secrets.age | tar x` is a way in without this program. The authority's own key is in it: whoever
opens it can make certificates.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from libs.runtime.nats_config import check_private, write_secret
from services.cli.deploy.key_files import BUS, TOKENS, give_away
from services.cli.exit_codes import BAD_DUMP, CONFIG, USAGE, Failure

FOLDERS = ("keys", BUS, TOKENS)
BYTES_MAX = 16 * 1024 * 1024
"""No deployment has a tenth of it; a file that says otherwise is none of ours."""
_NAME = re.compile(rf"(?:{'|'.join(FOLDERS)})/[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}")


def new_identity(path: Path) -> str:
    """Make a key pair: the private half into `path`, for its owner alone; returns the public half, `age1...`.

    Raises:
        Failure: there is a file already.
    """
    if path.exists():
        raise Failure(
            USAGE, f"{path} is there already", "name another file: what was sealed for that key opens with nothing else"
        )
    identity = _age().x25519.Identity.generate()
    write_secret(path, f"{identity}\n".encode())
    return str(identity.to_public())


def seal(home: Path, recipients: Sequence[str], sealed: Path) -> int:
    """Encrypt what stands in `home` to these public keys, into `sealed`; returns how many files that are.

    Raises:
        Failure: a public key is none, nobody is named, or there is nothing to seal.
    """
    if not recipients:
        raise Failure(
            USAGE,
            "sealed to nobody, it opens for nobody",
            "name who may open it with --to age1..., two people at least",
        )
    files = [
        path
        for folder in FOLDERS
        for path in sorted((home / folder).glob("*"))
        if path.is_file() and path.suffix != ".lock"
    ]
    if not files:
        raise Failure(CONFIG, f"there is nothing to seal in {home}", "begin with `bulkhead deploy keys`")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in files:
            head = tarfile.TarInfo(f"{path.parent.name}/{path.name}")
            content = path.read_bytes()
            head.size, head.mode = len(content), 0o600
            tar.addfile(head, io.BytesIO(content))
    write_secret(sealed, _age().encrypt(packed.getvalue(), [_recipient(each) for each in recipients]))
    return len(files)


def unseal(sealed: Path, identity: Path, home: Path) -> int:
    """Write what `sealed` holds into `home`, which holds no secrets yet; returns how many files that are. All of them, or none.

    Raises:
        Failure: the file is none of ours, was altered, or is sealed for others; or there are secrets already.
        KeysError: others can read the identity.
    """
    if any(any((home / folder).glob("*")) for folder in FOLDERS):
        raise Failure(
            USAGE,
            f"{home} holds secrets already",
            "name an empty folder: which of two keys is the right one, nobody here can know",
        )
    check_private(identity)
    files = _opened(sealed, _identities(identity))
    for name, content in files.items():
        target = home / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(target, content)
    for folder in FOLDERS:
        (home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    give_away(home)
    return len(files)


def is_memory(folder: Path) -> bool:
    """Whether what is written there is gone with the power: a tmpfs. Where nobody can tell, no."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return False
    absolute = folder.absolute()
    around = [
        (len(point), kind)
        for _, point, kind, *_ in mounts
        if absolute == Path(point) or Path(point) in absolute.parents
    ]
    return max(around, default=(0, ""))[1] in ("tmpfs", "ramfs")


def _opened(sealed: Path, identities: list[Any]) -> dict[str, bytes]:
    age, broken = _age(), "compare it with the copy that you sealed; an altered one never opens"
    try:
        if sealed.stat().st_size > BYTES_MAX:
            raise Failure(BAD_DUMP, f"{sealed} is larger than anything that is sealed here", broken)
        packed = age.decrypt(sealed.read_bytes(), identities)
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:
            return {head.name: _content(tar, head) for head in tar.getmembers()}
    except OSError as error:
        raise Failure(CONFIG, f"{sealed} cannot be read: {error.strerror}", "name the sealed file") from None
    except age.DecryptError as error:
        raise Failure(BAD_DUMP, f"{sealed} does not open with this identity: {error}", broken) from None
    except (tarfile.TarError, ValueError) as error:
        raise Failure(BAD_DUMP, f"{sealed} holds something else than a deployment's secrets: {error}", broken) from None


def _content(tar: tarfile.TarFile, head: tarfile.TarInfo) -> bytes:
    """Only plain files, only where secrets stand: whoever knows a public key can seal something that writes elsewhere."""
    if not head.isreg() or not _NAME.fullmatch(head.name):
        raise ValueError(f"it holds {head.name[:80]!r}")
    file = tar.extractfile(head)
    assert file is not None
    return file.read()


def _identities(path: Path) -> list[Any]:
    age = _age()
    lines = [line.strip() for line in path.read_text().splitlines()]
    try:
        return [age.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except age.IdentityError:
        raise Failure(
            CONFIG, f"{path} holds no identity of age", "name the file of `bulkhead deploy identity` or `age-keygen`"
        ) from None


def _recipient(text: str) -> Any:
    age = _age()
    try:
        return age.x25519.Recipient.from_str(text)
    except age.RecipientError:
        raise Failure(
            USAGE,
            f"{text[:80]!r} is no public key of age",
            "it begins with age1; `bulkhead deploy identity` says yours",
        ) from None


def _age() -> Any:
    import pyrage  # a compiled library that nobody else needs

    return pyrage
