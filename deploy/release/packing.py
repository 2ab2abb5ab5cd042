"""Archives that are the same to the byte whenever they are made of the same files: sorted, of nobody, of one time."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, tuple[bytes, bool]]
"""By its path in the archive: what a file holds, and whether it is run."""


def files_below(root: Path, *places: str, prefix: str = "") -> dict[str, tuple[bytes, bool]]:
    """Every file at or below these places of `root`, named from there, behind `prefix`; what Python leaves beside its sources is no file."""
    found = {}
    for place in places:
        top = root / place
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[prefix + path.relative_to(root).as_posix()] = (
                    path.read_bytes(),
                    bool(path.stat().st_mode & 0o100),
                )
    return found


def tar_gz(files: Files, epoch: int) -> bytes:
    """A compressed tar archive of `files`, all of the second `epoch`."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, filename="", mode="wb", mtime=epoch) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, (content, is_run) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), epoch, 0o755 if is_run else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def files_in(archive: Path) -> dict[str, tuple[bytes, bool]]:
    """The files of a compressed tar archive."""
    found = {}
    with tarfile.open(archive, "r:gz") as opened:
        for entry in opened:
            if (content := opened.extractfile(entry)) is not None:
                found[entry.name] = (content.read(), bool(entry.mode & 0o100))
    return found
