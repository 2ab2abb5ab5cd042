"""Which module each service lives in. Contracts are imported when asked for, so that libs depend on no service."""

from __future__ import annotations

from importlib import import_module

from libs.runtime.contract import Contract

SERVICES: dict[str, str] = {
    "market-feed": "services.market_feed",
    "agent-trend": "services.signal_agents.trend",
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
