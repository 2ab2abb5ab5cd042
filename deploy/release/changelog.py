"""CHANGELOG.md as a release reads it: which versions have a section, and what it says."""

from __future__ import annotations

import re

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## +(.+?) *$", re.MULTILINE)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+), \d{4}-\d{2}-\d{2}")


class NoSection(Exception):
    """The changelog does not say what is in this version."""


def faults(text: str) -> list[str]:
    """What is wrong with the changelog's headings: what is not released stands first, then releases, each once, the newest first."""
    headings = _HEADING.findall(text)
    found = [] if headings[:1] == [UNRELEASED] else [f"the first section is not {UNRELEASED!r}"]
    versions = []
    for heading in headings[1:]:
        named = _VERSION.fullmatch(heading)
        if named is None:
            found.append(f"{heading!r} is no release: write `## X.Y.Z, YYYY-MM-DD`")
        else:
            versions.append(tuple(map(int, named.groups())))
    if versions != sorted(set(versions), reverse=True):
        found.append("releases are not in order, the newest first, each once")
    return found


def section(text: str, version: str) -> str:
    """What the changelog says of a version, with its heading.

    Raises:
        NoSection
    """
    parts = _HEADING.split(text)
    headings = parts[1::2]
    place = next((each for each, heading in enumerate(headings) if heading.startswith(f"{version}, ")), None)
    if place is None:
        raise NoSection(
            f"CHANGELOG.md has no section for {version}: write `## {version}, YYYY-MM-DD` below {UNRELEASED}"
        )
    if place != 1:
        raise NoSection(f"CHANGELOG.md: {version} is not the first section below {UNRELEASED}")
    body = parts[2 + 2 * place].strip()
    if not body:
        raise NoSection(f"CHANGELOG.md says nothing of {version}")
    return f"## {headings[place]}\n\n{body}\n"
