"""`python -m deploy.release.versions [X.Y.Z]`: one version, said by pyproject.toml and repeated where another tool needs it.

Without a version it shows who says what; with one it writes it everywhere. A test holds them together.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = "pyproject.toml"
PLACES: dict[str, str] = {
    SOURCE: r'(?m)^version = "([^"]+)"',
    "docker-compose.yml": r"\$\{VERSION:-([^}]+)\}",
    "deploy/images/Dockerfile": r"(?m)^ARG VERSION=(\S+)",
    "deploy/k8s/chart/Chart.yaml": r'(?m)^(?:version|appVersion): "?([^"\n]+)"?',
    "docs/BACKUP_RECOVERY.md": r"bulkhead/cli:(\S+)",
}
"""Where a version stands, and how: the one group of each match."""
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def stated(root: Path = ROOT) -> dict[str, list[str]]:
    """What each place says, as often as it says it."""
    return {place: re.findall(pattern, (root / place).read_text()) for place, pattern in PLACES.items()}


def release(root: Path = ROOT) -> str:
    """The version, as its one source says it."""
    return stated(root)[SOURCE][0]


def disagreeing(root: Path = ROOT) -> list[str]:
    """Places that say another version than the source, or none."""
    found, wanted = stated(root), release(root)
    return [f"{place} says {each or 'nothing'}" for place, each in found.items() if set(each) != {wanted}]


def write(version: str, root: Path = ROOT) -> None:
    """Say this version everywhere."""
    for place, pattern in PLACES.items():
        path = root / place
        path.write_text(re.sub(pattern, lambda found: found[0].replace(found[1], version), path.read_text()))


def main() -> None:
    """Show, or write."""
    if len(sys.argv) > 1:
        if not _VERSION.fullmatch(sys.argv[1]):
            sys.exit(f"{sys.argv[1]!r} is no version: X.Y.Z")
        write(sys.argv[1])
        print("now: `python -m deploy.k8s.generate`, a section in CHANGELOG.md, a commit, `make release`, and a tag")
    for place, found in stated().items():
        print(f"{place:<30} {' '.join(sorted(set(found)))}")
    sys.exit(1 if disagreeing() else 0)


if __name__ == "__main__":
    main()
