"""A process that stores a log and dies on command: `python -m tests.e2e.ledger.victim <how> <n>`; the URL comes by stdin.

`before_commit n` kills itself (SIGKILL) when the n-th batch's commit is about to be sent, `after_commit n` when it has been
acknowledged but nothing remembers it yet, `run 0` never (whoever started it kills it, after the line `ready`).
"""

from __future__ import annotations

import os
import signal
import sys

from sqlalchemy import Engine, event, make_url

from services.ledger.adapters.projection import Projection
from tests.e2e.ledger.followable_log import a_log

BATCH = 7
CYCLES = 60


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(how: str, count: int) -> None:
    url = make_url(sys.stdin.readline().strip())
    entries = a_log(CYCLES)
    projection = Projection.open(url)
    left = [count]

    def countdown(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            die()

    if how == "before_commit":
        event.listen(Engine, "commit", countdown)
    todo = [entry for entry in entries if entry.seq >= projection.position()]
    print("ready", flush=True)
    for start in range(0, len(todo), BATCH):
        projection.apply(todo[start : start + BATCH])
        if how == "after_commit":
            countdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
