"""Who may import whom: services know the libraries, libraries know no service, and services do not know each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from libs.runtime.purity import imports_of
from libs.runtime.registry import SERVICES
from tests.style.tree import module_imports, modules, python_files

PACKAGES = (*SERVICES.values(), "services.exchange_sim", "services.model_sim", "services.telegram_sim")
"""Every service's package; what stands beside them (`services.signal_agents`) belongs to all below it."""

LAYERS = {
    "libs.common": ("libs.common",),
    "libs.trading": ("libs.common", "libs.trading"),
    "libs.runtime": ("libs.common", "libs.runtime"),
    "libs.research": ("libs.common", "libs.research", "libs.runtime", "libs.trading"),
    "libs.desk": ("libs.common", "libs.desk", "libs.research", "libs.runtime", "libs.trading"),
}
"""A library and what it may import of ours. The domain's arithmetic knows no shell, the language knows nobody."""

PURE_PARTS = ("libs.runtime.machine", "libs.runtime.contract")
"""What a machine and a contract may import of the runtime."""


def owner_of(module: str) -> str | None:
    """The service a module belongs to, if it belongs to one."""
    owners = [package for package in PACKAGES if module == package or module.startswith(f"{package}.")]
    return max(owners, key=len, default=None)


def foreign_imports(module: str, imported: list[str]) -> list[str]:
    """What a service's module imports of other services."""
    mine = owner_of(module)
    return sorted({name for name in imported if owner_of(name) not in (None, mine)})


@pytest.mark.parametrize("package", PACKAGES)
def test_no_service_imports_another(package: str) -> None:
    """A service that knows another cannot die alone; it is known by its registered name or by its messages."""
    found = {
        module: foreign
        for module in modules()
        if owner_of(module) == package and (foreign := foreign_imports(module, list(module_imports(module))))
    }
    assert found == {}


def test_a_planted_import_is_found() -> None:
    """The rule bites: through a plain import, a from-import, a relative one, and one inside a function."""
    for source in (
        "import services.ledger.books",
        "from services.ledger import machine",
        "from ..ledger.machine import LedgerMachine",
        "def f():\n    from services import ledger",
    ):
        names = list(imports_of(ast.parse(source), "services.risk_gate.machine"))
        assert foreign_imports("services.risk_gate.machine", names), source
    assert foreign_imports("services.risk_gate.machine", ["services.risk_gate.checks", "libs.common"]) == []
    assert foreign_imports("services.signal_agents.trend.machine", ["services.signal_agents.portfolio"])


@pytest.mark.parametrize("library", LAYERS)
def test_libraries_know_only_what_is_below_them(library: str) -> None:
    """No library imports a service, the language imports nothing of ours, the arithmetic no shell."""
    found = sorted(
        f"{module} imports {name}"
        for module in modules()
        if module == library or module.startswith(f"{library}.")
        for name in module_imports(module)
        if name.split(".")[0] in ("libs", "services") and name != "libs" and not name.startswith(LAYERS[library])
    )
    assert found == []


def test_machines_see_the_protocol_not_the_shell() -> None:
    """A machine imports of the runtime what it is made of; what runs it is none of its business."""
    found = sorted(
        f"{module} imports {name}"
        for module, path in modules().items()
        if path.name in ("machine.py", "contract.py") and module.startswith("services.")
        for name in module_imports(module)
        if name.startswith("libs.runtime.") and not name.startswith(PURE_PARTS)
    )
    assert found == []


def test_nothing_imports_the_tests() -> None:
    """What runs in production does not need what proves it."""
    found = [module for module in modules() if any(name.split(".")[0] == "tests" for name in module_imports(module))]
    assert found == []


def test_every_module_is_in_a_package() -> None:
    """A folder without `__init__.py` is found from the repository and missing from the installed package."""
    folders = {path.parent for path in python_files("libs", "services") if "versions" not in path.parts}
    missing = sorted(
        str(folder) for folder in folders if folder / "__init__.py" not in python_files("libs", "services")
    )
    assert missing == []
    assert Path("libs/runtime") in folders
