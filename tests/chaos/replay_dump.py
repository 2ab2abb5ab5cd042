"""`python -m tests.chaos.replay_dump FILE`: replay a dumped log and print the report as JSON."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.runtime.adapter import LogEntry
from libs.runtime.code_version import code_version
from libs.runtime.registry import contract_of, module_of
from libs.runtime.replay import Part, replay
from services.cli.stack import RUNNING


def parts() -> list[Part]:
    """Every service that has a machine, with the code at hand."""
    found = []
    for name in RUNNING:
        module = importlib.import_module(f"{module_of(name)}.machine")
        machine = next(
            each
            for each in vars(module).values()
            if isinstance(each, type) and each.__module__ == module.__name__ and each.__name__.endswith("Machine")
        )
        found.append(Part(contract_of(name), machine, code_version(module.__name__)))
    return found


def read(path: Path) -> Iterator[LogEntry]:
    """The entries of a dump."""
    with path.open() as file:
        for line in file:
            entry = json.loads(line)
            yield LogEntry(entry["seq"], entry["subject"], base64.b64decode(entry["payload"]))


if __name__ == "__main__":
    report = replay(lambda: read(Path(sys.argv[1])), parts())
    print(json.dumps(msgspec.to_builtins(report)))
