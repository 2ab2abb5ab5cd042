"""Every metric of the system, declared once; docs/metrics.md is written from here, and a style test holds the code, the rules and the dashboards to it."""

from types import ModuleType

from libs.common.metrics import doors, service, system, trading
from libs.common.metrics.declared import EVERY, MACHINES, PREFIX, Declared, Kind, Label, Unit

__all__ = ["CATALOGUE", "CHAPTERS", "EVERY", "MACHINES", "PREFIX", "Declared", "Kind", "Label", "Unit", "declared_in"]


def declared_in(module: ModuleType) -> tuple[Declared, ...]:
    """What a module declares, in its order."""
    return tuple(each for each in vars(module).values() if isinstance(each, Declared))


CHAPTERS: dict[str, tuple[Declared, ...]] = {
    "Every service": declared_in(service),
    "Trading": declared_in(trading),
    "The whole system, as the gateway reads it in the log": declared_in(system),
    "The operators' doors": declared_in(doors),
}
"""The declarations by the chapter of docs/metrics.md that they stand in."""
CATALOGUE: dict[str, Declared] = {each.name: each for chapter in CHAPTERS.values() for each in chapter}
"""Every metric by its name."""
