"""A plug-in's settings come from the environment, as every service's do: `BULKHEAD_AGENT_<ID>_<NAME>` for each field of its `Settings`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import inspect
from pydantic import AfterValidator, Field, create_model, model_validator

from libs.runtime.plugin import Plugin, PluginRefused
from libs.runtime.settings import ServiceSettings

_HELD = (
    *(inspect.StrType, inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.DecimalType),
    *(inspect.LiteralType, inspect.NoneType),
)
"""What stands in one variable."""


def settings_class_of(plugin: Plugin) -> type[ServiceSettings]:
    """The settings of the service that `plugin` becomes.

    Raises:
        PluginRefused: a setting is of a kind that no variable can hold.
    """
    params = plugin.machine_class.Settings
    fields = msgspec.structs.fields(params)
    names = {field.name: f"agent_{plugin.agent_id}_{field.name}" for field in fields}

    def machine(self: Any) -> msgspec.Struct:
        """The part that can change an opinion."""
        return msgspec.convert({name: getattr(self, variable) for name, variable in names.items()}, params)

    def refuse_together(self: Any) -> Any:
        machine(self)
        return self

    told: dict[str, Any] = {names[field.name]: _field(plugin, field) for field in fields}
    made: type[ServiceSettings] = create_model(
        f"the settings of {plugin.service}",
        __base__=ServiceSettings,
        __validators__={"refuse_together": model_validator(mode="after")(refuse_together)},
        **told,
    )
    made.machine = machine  # type: ignore[attr-defined]
    return made


def _field(plugin: Plugin, field: msgspec.structs.FieldInfo) -> tuple[Any, Any]:
    kinds = getattr(info := inspect.type_info(field.type), "types", (info,))
    if strange := [type(kind).__name__ for kind in kinds if not isinstance(kind, _HELD)]:
        raise PluginRefused(
            f"{plugin.path}: Settings.{field.name}: numbers, texts and choices only, no {strange[0].removesuffix('Type')}"
        )

    def checked(value: Any) -> Any:
        return msgspec.convert(value, field.type)

    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    described = f"{field.name.replace('_', ' ')} of {plugin.agent_id}"
    return Annotated[field.type, AfterValidator(checked)], Field(default=default, description=described)
