"""The bill of materials of an image (CycloneDX 1.6, JSON): every library its lock names for Linux, with the hashes that pip asks for.

It is made from the locks, not from an image: nothing else of ours can be installed, because every install wants these hashes. What the base image brings
(Python, the system's libraries) is not in it.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.markers import Marker

_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\\n]+?))?\s*\\?$"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
NAMESPACE = uuid.UUID("6f0d1c58-6d0e-4f0e-9b53-0b1f2c7f5a11")
"""Ours: the serial number of a bill follows from what it is of."""
IMAGE = {
    "python_version": "3.12",
    "python_full_version": "3.12.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "platform_machine": "x86_64",
}
"""Where an image runs: what a lock holds for others is not in it."""


class Locked(msgspec.Struct):
    """A library as a lock pins it: any file of it must have one of these SHA-256."""

    name: str
    version: str
    hashes: list[str]


def locked(lock: str) -> list[Locked]:
    """Every library that the text of a lock pins for an image."""
    found: list[Locked] = []
    is_ours = False
    for line in lock.splitlines():
        if (pin := _PIN.match(line)) is not None:
            is_ours = pin["marker"] is None or Marker(pin["marker"]).evaluate(IMAGE)
            if is_ours:
                found.append(Locked(pin["name"].lower(), pin["version"], []))
        elif is_ours and found:
            found[-1].hashes += _HASH.findall(line)
    return found


def bill_of(image: str, version: str, lock: Path, epoch: int) -> str:
    """The bill of an image of ours, as JSON; the same whenever it is written."""
    whole = Component(name=image, version=version, type=ComponentType.CONTAINER, bom_ref=BomRef(f"{image}:{version}"))
    bom = Bom(serial_number=uuid.uuid5(NAMESPACE, f"{image}:{version}"))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.metadata.component = whole
    parts = [_component(each) for each in locked(lock.read_text())]
    bom.components.update(parts)
    bom.register_dependency(whole, parts)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _component(found: Locked) -> Component:
    purl = PackageURL("pypi", None, found.name, found.version)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=each) for each in found.hashes]
    return Component(
        name=found.name,
        version=found.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        hashes=hashes,
        bom_ref=BomRef(purl.to_string()),
    )
