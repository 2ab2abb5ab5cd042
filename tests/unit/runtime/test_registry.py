"""The registry: every service is found by its name, with its machine, its settings and the version of its code."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from libs.runtime.registry import SERVICES, contract_of, has_machine, machine_of, module_of, parts, settings_of
from libs.runtime.settings import ServiceSettings


def test_every_deciding_service_is_a_part_of_a_replay() -> None:
    """Who derives events can be replayed; the operators' doors derive none."""
    deciding = [service for service in SERVICES if has_machine(service)]
    assert [part.contract.service for part in parts()] == deciding
    assert set(SERVICES) - set(deciding) == {"cli", "gateway", "telegram-bot"}
    assert len({part.code_version for part in parts()}) == len(deciding)


@pytest.mark.parametrize("service", [service for service in SERVICES if has_machine(service)])
def test_a_machine_and_its_settings_belong_together(service: str) -> None:
    """Each service names one machine and one settings class of its own, and its contract names it."""
    assert machine_of(service).__module__ == f"{module_of(service)}.machine"
    assert issubclass(settings_of(service), ServiceSettings)
    assert contract_of(service).service == service


def test_an_unknown_service_is_refused_with_those_there_are() -> None:
    """A typing error is answered with the list."""
    with pytest.raises(KeyError, match="there are market-feed"):
        module_of("market-fed")


def test_a_module_without_one_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """None or two: nobody should guess which one decides."""
    module = ModuleType("services.ledger.machine")
    monkeypatch.setitem(sys.modules, "services.ledger.machine", module)
    with pytest.raises(LookupError, match="defines 0"):
        machine_of("ledger")
    for name in ("FirstMachine", "SecondMachine"):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    with pytest.raises(LookupError, match="defines 2"):
        machine_of("ledger")
