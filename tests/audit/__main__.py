"""Runs everything that the subjects name, now, and writes docs/security-audit.md. Exit code 1: something does not hold.

python -m tests.audit [--out FILE] [--workers 4]
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.audit.judging import Row, judged, results_of
from tests.audit.page import overall, page
from tests.audit.subjects import SUBJECTS
from tests.style.tree import ROOT


def main() -> int:
    """Judge every subject, write the page, and say how it went."""
    asked = argparse.ArgumentParser(prog="make audit", description=__doc__)
    asked.add_argument("--out", type=Path, default=ROOT / "docs" / "security-audit.md")
    asked.add_argument("--workers", type=int, default=4)
    told = asked.parse_args()
    out: Path = told.out
    results = results_of([test for subject in SUBJECTS for test in subject.tests], told.workers)
    rows: list[Row] = []
    for subject in SUBJECTS:
        rows.append(judged(subject, results))
        print(f"{rows[-1].verdict:8} {subject.name}: {rows[-1].seen}", flush=True)
    out.write_text(page(rows, datetime.now(UTC)), encoding="utf-8")
    print(f"{overall(rows)}; written to {out}")
    return 1 if overall(rows) == "FAIL" else 0


if __name__ == "__main__":
    sys.exit(main())
