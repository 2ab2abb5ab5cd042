"""What an image of ours holds: the packages its lock names, and the modules its service can reach."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.style.tree import OURS, ROOT, module_imports, modules
from tests.style.tree import packages_around as around

LOCKS = ROOT / "requirements" / "images"
DYNAMIC: dict[str, tuple[str, ...]] = {
    "services.ledger": ("psycopg",),
    "services.notifier": ("aiogram", "apprise"),
    "services.telegram_bot": ("aiogram", "matplotlib", "pyotp"),
    "services.cli": ("psycopg",),
}
"""What a service imports by name at run time: a database driver, libraries that are only loaded where they are configured."""
ASIDE = ("services.market_feed.refilter",)
"""Tools for a workstation that stand beside a service; its container never runs them."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


def locked(path: Path) -> dict[str, str]:
    """The versions a lock pins, by normalised name."""
    return {name_of(name): version for name, version in _PIN.findall(path.read_text())}


def name_of(distribution: str) -> str:
    """A distribution's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@cache
def _distributions() -> dict[str, set[str]]:
    return {module: {name_of(each) for each in found} for module, found in packages_distributions().items()}


def missing(package: str, lock: dict[str, str]) -> list[str]:
    """What the modules that run in this package import and the lock does not bring, each with who imports it."""
    found = []
    for module, importer in third_party(package).items():
        providers = _distributions().get(module, {name_of(module)})
        if not providers & lock.keys():
            found.append(f"{module} (imported by {importer})")
    return sorted(found)


def third_party(package: str) -> dict[str, str]:
    """Top-level modules of others that are reachable from anything in `package`, each with one who imports it."""
    found = dict.fromkeys(DYNAMIC.get(package, ()), package)
    waiting = [each for each in modules() if (each == package or each.startswith(f"{package}.")) and each not in ASIDE]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen or module not in modules():
            continue
        seen.add(module)
        for name in _imports(module):
            top = name.split(".")[0]
            if top in OURS:
                waiting += [name, *around(name)]
            elif top not in sys.stdlib_module_names:
                found.setdefault(top, module)
    return found


@cache
def _imports(module: str) -> tuple[str, ...]:
    return tuple(module_imports(module))
