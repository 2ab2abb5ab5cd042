"""Two profiles: one is the defaults, the other is smaller in everything, and both pass every rule without a question."""

from __future__ import annotations

import msgspec
import pytest

from libs.runtime.profiles import BALANCED, CONSERVATIVE, PROFILES, Profile, numbers_of
from libs.runtime.registry import SERVICES, settings_of
from libs.runtime.setting_rules import judged
from libs.runtime.settings import ServiceSettings
from libs.runtime.visible_settings import own_values

MAY_BE_LARGER = {"risk_correlation_assumed", "risk_cooldown_ms", "risk_losses_pause_ms"}
"""Where more is more careful."""


def owners(name: str) -> list[type[ServiceSettings]]:
    kinds = [settings_of(service) for service in SERVICES if service != "cli"]
    return [kind for kind in kinds if name in kind.model_fields]


@pytest.mark.parametrize("name", Profile.__struct_fields__)
def test_balanced_is_what_every_setting_is_without_a_word(name: str) -> None:
    """A profile that nobody names changes nothing."""
    (kind,) = owners(name)
    assert getattr(BALANCED, name) == kind.model_fields[name].default


@pytest.mark.parametrize("name", Profile.__struct_fields__)
def test_conservative_is_more_careful_in_everything(name: str) -> None:
    """It differs in every number, and always to the same side."""
    careful, usual = getattr(CONSERVATIVE, name), getattr(BALANCED, name)
    assert careful > usual if name in MAY_BE_LARGER else careful < usual


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_passes_every_rule(profile: str) -> None:
    """Nothing refused and nothing questionable, in itself and with everybody's defaults."""
    values = {}
    for service in SERVICES:
        if service != "cli":
            kind = settings_of(service)
            numbers = {name: value for name, value in numbers_of(profile).items() if name in kind.model_fields}
            defaults = {name: "" if field.is_required() else field.default for name, field in kind.model_fields.items()}
            values |= own_values(kind.model_construct(**(defaults | numbers)))
    assert "BULKHEAD_RISK_DRAWDOWN_HALT" in values
    assert judged(values) == []


def test_an_unknown_profile_has_no_numbers() -> None:
    """Who names it is told so by the setting itself."""
    assert numbers_of("reckless") == {}
    assert numbers_of(None) == {}
    assert set(numbers_of("balanced")) == set(msgspec.structs.asdict(BALANCED))
