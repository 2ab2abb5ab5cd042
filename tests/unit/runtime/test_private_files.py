"""Whose eyes a secret may meet: its owner's, and where an orchestrator mounted it, those of the group made for the process."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from libs.runtime import private_files

OWN, POD, STRANGERS = 10001, 10001, 4242


@pytest.fixture
def not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is not root's, in a group of its own."""
    monkeypatch.setattr(private_files, "os", SimpleNamespace(geteuid=lambda: OWN, getegid=lambda: POD, getgroups=list))


def looks(mode: int, uid: int, gid: int) -> os.stat_result:
    """What stat says of such a file."""
    return os.stat_result((0o100000 | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "is_exposed"),
    [
        (0o600, OWN, POD, False),
        (0o400, OWN, POD, False),
        (0o440, 0, POD, False),
        (0o640, 0, POD, False),
        (0o440, 0, STRANGERS, True),
        (0o444, 0, POD, True),
        (0o660, 0, POD, True),
        (0o640, OWN, POD, True),
        (0o604, OWN, POD, True),
    ],
)
def test_a_mounted_secret_may_be_read_by_the_pods_group(
    not_root: None, mode: int, uid: int, gid: int, is_exposed: bool
) -> None:
    """Root's file, readable by the group of this process alone, is how an orchestrator hands a secret over; any other reader is one too many."""
    assert private_files.is_exposed(looks(mode, uid, gid)) is is_exposed


def test_to_root_a_group_is_always_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is root needs no group to read by: a file of root's that a group may read is open."""
    monkeypatch.setattr(private_files, "os", SimpleNamespace(geteuid=lambda: 0, getegid=lambda: 0, getgroups=list))
    assert private_files.is_exposed(looks(0o440, 0, 0))
