"""What the stack's processes cost: who they are, their memory, and their time on the cores."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec
import psutil

from libs.runtime.registry import SERVICES

MIB = 1 << 20
_NAMES = {module: service for service, module in SERVICES.items()} | {"services.exchange_sim": "exchange-sim"}


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process (of Postgres: of all of its): `cpu` in cores over the window, memory in MiB at its end.

    Memory is the resident set; of Postgres, whose processes share most of theirs, the proportional one.
    """

    name: str
    cpu: float
    memory_mib: float


class Counted(msgspec.Struct, frozen=True):
    """Seconds on the cores at one moment: of each process by name, with its pid, and of the machine."""

    at_s: float
    machine_s: float
    seconds: dict[str, tuple[int, float]]


class Processes:
    """The children of one supervisor, Postgres, and whoever else is named."""

    def __init__(self, supervisor_pid: int, postgres_pid: int, **others: int):
        self._supervisor = psutil.Process(supervisor_pid)
        self._postgres = psutil.Process(postgres_pid)
        self._others = {name: psutil.Process(pid) for name, pid in others.items()}

    def count(self, at_s: float) -> Counted:
        """How much each has used until now."""
        seconds = {name: (each.pid, _seconds(each)) for name, each in self._ours().items()}
        seconds["postgres"] = (self._postgres.pid, sum(_seconds(each) for each in self._all_of_postgres()))
        machine = psutil.cpu_times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        return Counted(at_s, sum(machine) - idle - getattr(machine, "guest", 0.0), seconds)

    def costs(self, before: Counted, after: Counted) -> list[Cost]:
        """Over the window between two counts; a process that was started again counts from its start."""
        window = after.at_s - before.at_s
        memory = {name: each.memory_info().rss / MIB for name, each in self._ours().items()}
        memory["postgres"] = sum(_proportional(each) for each in self._all_of_postgres())
        found = []
        for name, (pid, seconds) in after.seconds.items():
            pid_before, seconds_before = before.seconds.get(name, (pid, 0.0))
            used = seconds - (seconds_before if pid == pid_before else 0.0)
            found.append(Cost(name=name, cpu=max(0.0, used) / window, memory_mib=memory.get(name, 0.0)))
        return sorted(found, key=lambda cost: -cost.cpu)

    def _ours(self) -> dict[str, psutil.Process]:
        found = {"supervisor": self._supervisor, **self._others}
        for child in self._supervisor.children():
            try:
                name = name_of(child.cmdline())
            except psutil.Error:
                continue
            if name:
                found[name] = child
        return found

    def _all_of_postgres(self) -> list[psutil.Process]:
        return [self._postgres, *self._postgres.children()]


def others_cores(before: Counted, after: Counted, costs: Iterable[Cost]) -> float:
    """How many cores were busy with what is none of ours."""
    busy = (after.machine_s - before.machine_s) / (after.at_s - before.at_s)
    return max(0.0, busy - sum(cost.cpu for cost in costs))


def restarts(before: Counted, after: Counted) -> dict[str, int]:
    """Which processes are others than they were, or gone."""
    return {
        name: 1
        for name, (pid, _) in before.seconds.items()
        if name not in after.seconds or after.seconds[name][0] != pid
    }


def name_of(command: list[str]) -> str:
    """What we call the process with this command line; "" for a stranger."""
    if command and os.path.basename(command[0]) == "nats-server":
        return "nats-server"
    module = command[command.index("-m") + 1] if "-m" in command[:-1] else ""
    return _NAMES.get(module, "")


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # a backend of Postgres that has just ended
        return 0.0
    return float(times.user + times.system)


def _proportional(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / MIB
    except psutil.Error:
        return 0.0
