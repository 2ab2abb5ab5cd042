"""Where pydantic-settings looks for what the environment does not say: bulkhead.toml, then the profile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, InitSettingsSource, TomlConfigSettingsSource

from libs.runtime.config_file import read_config
from libs.runtime.config_names import input_name, variables_of
from libs.runtime.profiles import numbers_of


class ConfigSource(TomlConfigSettingsSource):
    """bulkhead.toml: of its tables, what the settings class knows. What nobody knows is told by `load_settings`."""

    def __init__(self, kind: type[BaseSettings]):
        self._kind = kind
        super().__init__(kind, toml_file=Path(os.devnull))

    def _read_files(self, *_: Any, **__: Any) -> dict[str, Any]:
        entries = read_config(os.environ).entries
        found = {}
        for name in self._kind.model_fields:
            values = [entries[each].value for each in variables_of(self._kind, name) if each in entries]
            if values and values[0] != "":  # an empty value is none, as in the environment
                found[input_name(self._kind, name)] = values[0]
        return found


class ProfileSource(InitSettingsSource):
    """The numbers of the profile that the environment or the file names."""

    def __init__(self, kind: type[BaseSettings]):
        super().__init__(kind, {})

    def __call__(self) -> dict[str, Any]:
        """What the profile says of this class's settings."""
        name = self.current_state.get("profile") or self.settings_cls.model_fields["profile"].default
        return {key: value for key, value in numbers_of(name).items() if key in self.settings_cls.model_fields}
