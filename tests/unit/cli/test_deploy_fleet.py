"""The table of who runs in a deployment, held against what the services' own contracts and settings say."""

from __future__ import annotations

from libs.runtime.registry import SERVICES, contract_of, settings_of
from services.cli.deploy.fleet import CLI, IMAGE_KINDS, KEYS, VENUE, members


def test_every_service_runs_in_a_deployment() -> None:
    """Who speaks to the bus has a container: nobody is forgotten when a service is added."""
    assert [each.service for each in members()] == [name for name in SERVICES if name != CLI]
    assert set(IMAGE_KINDS) == {*SERVICES, VENUE}


def test_everybody_is_told_only_what_his_settings_know() -> None:
    """A variable that a service does not read would be a promise that nobody keeps."""
    for each in members():
        settings = settings_of(each.service)
        known = {f"BULKHEAD_{name}".upper() for name in settings.model_fields}
        assert set(each.environment) - known - {"BULKHEAD_DATABASE_URL_FILE"} == set(), each.service


def test_nobody_holds_a_secret_of_another() -> None:
    """Each file but the bus's public certificate is one service's alone, and every file that a variable names is there."""
    held = [key for each in members() for key in each.keys if key != "nats-ca.pem"]
    assert len(held) == len(set(held))
    for each in members():
        named = {value.removeprefix(f"{KEYS}/") for value in each.environment.values() if value.startswith(f"{KEYS}/")}
        assert named <= set(each.keys), each.service


def test_one_alone_holds_the_venues_key() -> None:
    """The executor is the only one with a venue's key, and the only one of whom there may never be two."""
    lone = [each for each in members() if each.is_lone]
    assert [each.service for each in lone] == ["order-executor"]
    assert [each.service for each in members() if "venue-api-secret" in each.keys] == ["order-executor"]
    assert contract_of("order-executor").calls_venues
