"""What a folder of recorded or imported market data says about itself, and how files get there whole or not at all.

`recording.json` is the authority: parts that begin behind its `last_seq` were being written when the writer died, and do not count.
Nothing here needs pyarrow, so that whoever only asks what a folder is need not load it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

MANIFEST = "recording.json"
RAW_MANIFEST = "frames.json"
DRAFT_SUFFIX = ".draft"
FORMAT = 1


class RecordingError(Exception):
    """A recording, or a line in it, cannot be used; the text says which and why."""


class ForeignFolder(RecordingError):
    """The folder holds something else: nothing is written into it."""


class Gap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the stream no longer had when it was asked for, both ends included."""

    first_seq: int
    last_seq: int

    @property
    def count(self) -> int:
        """How many messages are missing."""
        return self.last_seq - self.first_seq + 1


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far a recording reaches. `stream_created` tells one bus from another; `files` are the committed bytes of raw files."""

    format: int = FORMAT
    origin: Literal["recorded", "imported", "raw"]
    stream: str = ""
    stream_created: str = ""
    first_seq: int = 0
    last_seq: int = 0
    messages: int = 0
    unknown: int = 0
    gaps: list[Gap] = []
    files: dict[str, int] = {}


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a Parquet dataset of ours."""
    return (folder / MANIFEST).is_file()


def read_manifest(path: Path) -> Manifest:
    """What the file says.

    Raises:
        RecordingError: it is not there, cannot be read, or is of another version.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise RecordingError(f"{path.parent}: no recording (there is no {path.name})") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise RecordingError(f"{path}: cannot be read ({error})") from None
    if found.format != FORMAT:
        raise RecordingError(f"{path}: written in format {found.format}; this code reads format {FORMAT}")
    return found


def open_manifest(path: Path, fresh: Manifest) -> Manifest:
    """The manifest that is there, or `fresh`, written into a new or empty folder.

    Raises:
        ForeignFolder: the folder is not empty and not a recording, or one of another origin.
        RecordingError, OSError.
    """
    folder = path.parent
    if path.is_file():
        found = read_manifest(path)
        if found.origin != fresh.origin:
            raise ForeignFolder(f"{folder} holds {found.origin} market data, not {fresh.origin}; name another folder")
        return found
    if folder.exists() and any(not name.endswith(DRAFT_SUFFIX) for name in os.listdir(folder)):
        raise ForeignFolder(f"{folder} is not empty and holds no {path.name}; name a new or an empty folder")
    save_manifest(path, fresh)
    return fresh


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write it whole or not at all; when this returns it is on disk."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    write_durably(path, lambda file: file.write(text + b"\n"))


def first_seq_of(path: Path) -> int:
    """The first seq of a part, as its name says.

    Raises:
        RecordingError: it is not a part's name.
    """
    digits = path.stem.removeprefix("part-")
    if not (digits.isascii() and digits.isdigit()):
        raise RecordingError(f"{path}: not the name of a part (part-<first seq>.parquet)")
    return int(digits)


def write_durably(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """A new file in the place of an old one or of none: written beside it, synced, renamed."""
    settle(draft_of(path, write), path)


def draft_of(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """The file as a draft beside its place, synced; `settle` puts it there."""
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}{DRAFT_SUFFIX}")
    with draft.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    return draft


def settle(draft: Path, path: Path) -> None:
    """Put a draft into its place; when this returns the name is on disk, too."""
    draft.replace(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents so that they outlive a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
