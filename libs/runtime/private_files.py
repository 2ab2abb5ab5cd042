"""Who may read a file that holds a secret: its owner alone, or, where an orchestrator has mounted it, the group that was made for this process."""

from __future__ import annotations

import os
import stat

_OTHERS = 0o077
_BEYOND_READING_GROUP = 0o037


def is_exposed(status: os.stat_result) -> bool:
    """Whether somebody reads or writes this file who should not.

    Kubernetes mounts a Secret for a process that is not root as a file of root's, readable by the pod's own group (`fsGroup`, mode 0440): nobody else is in that
    group, and root reads everything anyway. A group of our own files is the machine's, and who is in it nobody knows.
    """
    if status.st_uid == 0 and os.geteuid() != 0 and status.st_gid in _own_groups():
        return bool(status.st_mode & _BEYOND_READING_GROUP)
    return bool(status.st_mode & _OTHERS)


def mode_of(status: os.stat_result) -> str:
    """The permissions, as chmod takes them."""
    return f"{stat.S_IMODE(status.st_mode):04o}"


def _own_groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}
