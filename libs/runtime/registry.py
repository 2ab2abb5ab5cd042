"""Which module each service lives in. Contracts are imported when asked for, so that libs depend on no service."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec

from libs.runtime.code_version import code_version
from libs.runtime.contract import Contract
from libs.runtime.machine import Machine
from libs.runtime.replay import Part
from libs.runtime.settings import ServiceSettings

SERVICES: dict[str, str] = {
    "market-feed": "services.market_feed",
    "agent-trend": "services.signal_agents.trend",
    "agent-macro": "services.signal_agents.macro",
    "agent-levels": "services.signal_agents.levels",
    "agent-llm": "services.signal_agents.llm",
    "portfolio": "services.signal_agents.portfolio",
    "risk-gate": "services.risk_gate",
    "order-executor": "services.order_executor",
    "ledger": "services.ledger",
    "notifier": "services.notifier",
    "cli": "services.cli",
}
"""Every writer's service, by its kebab-case name."""


def module_of(service: str) -> str:
    """The package that holds `service`, to run with `python -m`.

    Raises:
        KeyError: no such service; the text names those there are.
    """
    try:
        return SERVICES[service]
    except KeyError:
        raise KeyError(f"no service {service!r}; there are {', '.join(SERVICES)}") from None


def contract_of(service: str) -> Contract:
    """What `service` reads and says."""
    contract: Contract = import_module(f"{module_of(service)}.contract").CONTRACT
    if contract.service != service:
        raise ValueError(f"{module_of(service)}.contract calls itself {contract.service!r}, registered as {service!r}")
    return contract


def contracts() -> tuple[Contract, ...]:
    """Every contract, in the order of `SERVICES`."""
    return tuple(contract_of(service) for service in SERVICES)


def has_machine(service: str) -> bool:
    """Whether `service` decides anything (the operator's command does not: what it says is a source)."""
    return find_spec(f"{module_of(service)}.machine") is not None


def machine_of(service: str) -> type[Machine]:
    """The one class named `...Machine` that `machine.py` of `service` defines.

    Raises:
        LookupError: there is none, or more than one.
    """
    module = import_module(f"{module_of(service)}.machine")
    classes = [
        found
        for name, found in inspect.getmembers(module, inspect.isclass)
        if name.endswith("Machine") and found.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise LookupError(f"{module.__name__} should define one class named ...Machine, it defines {len(classes)}")
    return classes[0]


def settings_of(service: str) -> type[ServiceSettings]:
    """The settings that `service` reads from its environment."""
    settings: type[ServiceSettings] = import_module(f"{module_of(service)}.settings").Settings
    return settings


def parts() -> tuple[Part, ...]:
    """Everything a replay derives again: every machine, with the version of its code at hand."""
    return tuple(
        Part(contract_of(service), machine_of(service), code_version(machine_of(service).__module__))
        for service in SERVICES
        if has_machine(service)
    )
