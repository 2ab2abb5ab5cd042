"""See `run`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from tests.baseline.run import changes, figures, on_record, played, record


def main() -> int:
    """Show, or put on record."""
    parser = argparse.ArgumentParser(prog="python -m tests.baseline", description=__doc__)
    parser.add_argument("--record", metavar="WHY", help="put the figures of this code on record")
    given = parser.parse_args()
    if given.record:
        print(record(given.record, f"{datetime.now(UTC):%Y-%m-%d}"))
        return 0
    now, then = figures(played()), on_record()
    for name, value in now.items():
        print(f"{name:14} {value!s:>34}   on record {then[name]}")
    found = changes(now, then)
    print("as on record" if not found else "\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
