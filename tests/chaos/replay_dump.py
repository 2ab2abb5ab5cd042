"""`python -m tests.chaos.replay_dump FILE`: replay a dumped log and print the report as JSON."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.runtime.adapter import LogEntry
from libs.runtime.registry import parts
from libs.runtime.replay import replay


def read(path: Path) -> Iterator[LogEntry]:
    """The entries of a dump."""
    with path.open() as file:
        for line in file:
            entry = json.loads(line)
            yield LogEntry(entry["seq"], entry["subject"], base64.b64decode(entry["payload"]))


if __name__ == "__main__":
    report = replay(lambda: read(Path(sys.argv[1])), parts())
    print(json.dumps(msgspec.to_builtins(report)))
