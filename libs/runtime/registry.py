"""Which module each service lives in. Contracts are imported when asked for, so that libs depend on no service.

Agents that a user brings (`plugin.py`) are plugged in while a process runs, and are then services like all others.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec

from libs.runtime.code_version import code_version, tree_version
from libs.runtime.contract import Contract
from libs.runtime.machine import Machine
from libs.runtime.plugin import Plugin, PluginRefused
from libs.runtime.plugin_settings import settings_class_of
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
    "gateway": "services.gateway",
    "telegram-bot": "services.telegram_bot",
    "cli": "services.cli",
}
"""Every writer's service of ours, by its kebab-case name."""

_plugged: dict[str, Plugin] = {}


def plug_in(*plugins: Plugin) -> None:
    """From now on these are services of this process's stack, and those that were plugged in before are not.

    Raises:
        PluginRefused: two have one name.
    """
    names = [plugin.service for plugin in plugins]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PluginRefused(f"two agents have one name: {', '.join(twice)}")
    _plugged.clear()
    _plugged.update({plugin.service: plugin for plugin in plugins})


def plugged_in() -> tuple[Plugin, ...]:
    """The agents of others, in the order in which they were named."""
    return tuple(_plugged.values())


def writer_of(service: str) -> str:
    """What `service` writes under; a service that is not known here is an agent that was plugged in elsewhere."""
    if service in SERVICES:
        return contract_of(service).writer
    return f"agent.{service.removeprefix('agent-').replace('-', '_')}"


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
    if service in _plugged:
        return _plugged[service].contract
    contract: Contract = import_module(f"{module_of(service)}.contract").CONTRACT
    if contract.service != service:
        raise ValueError(f"{module_of(service)}.contract calls itself {contract.service!r}, registered as {service!r}")
    return contract


def contracts() -> tuple[Contract, ...]:
    """Every contract, in the order of `SERVICES`; those of plugged in agents last."""
    return tuple(contract_of(service) for service in (*SERVICES, *_plugged))


def has_machine(service: str) -> bool:
    """Whether `service` decides anything (the operator's command does not: what it says is a source)."""
    return service in _plugged or find_spec(f"{module_of(service)}.machine") is not None


def machine_of(service: str) -> type[Machine]:
    """The one class named `...Machine` that `machine.py` of `service` defines.

    Raises:
        LookupError: there is none, or more than one.
    """
    if service in _plugged:
        return _plugged[service].machine_class
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
    if service in _plugged:
        return settings_class_of(_plugged[service])
    settings: type[ServiceSettings] = import_module(f"{module_of(service)}.settings").Settings
    return settings


def version_at_hand() -> str:
    """Which code a stack of this installation would run: the tree's, and that of each agent that is plugged in."""
    plugins = sorted((plugin.agent_id, plugin.version) for plugin in plugged_in())
    return "".join([tree_version(), *(f"+{agent_id}:{version}" for agent_id, version in plugins)])


def parts() -> tuple[Part, ...]:
    """Everything a replay derives again: every machine, with the version of its code at hand."""
    ours = [
        Part(contract_of(service), machine_of(service), code_version(machine_of(service).__module__))
        for service in SERVICES
        if has_machine(service)
    ]
    return (*ours, *(Part(each.contract, each.machine_class, each.version) for each in plugged_in()))
