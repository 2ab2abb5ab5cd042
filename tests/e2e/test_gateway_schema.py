"""The running gateway holds what its OpenAPI document says, whatever is sent: schemathesis makes up requests, good and bad ones."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from libs.desk.tokens import TokenStore, token_file
from services.gateway.command_routes import WAIT_S_MAX
from tests.e2e.gateway_stand import Gateway, gateway_in

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 8
ENDLESS = "/api/v1/stream"
OURS = {503: "/api/v1/health"}
"""What schemathesis would call an error, and is an answer: health is degraded here."""
PATIENT = {
    "BULKHEAD_GATEWAY_RATE_ADDRESS": "1000000",
    "BULKHEAD_GATEWAY_RATE_CALLER": "1000000",
    "BULKHEAD_GATEWAY_RATE_FAILURES": "10000",
    "BULKHEAD_GATEWAY_COMMAND_WAIT_S": "0",
}


async def test_no_request_gets_an_answer_that_is_not_described(tmp_path: Path) -> None:
    """No 5xx, no status, content type or field that the document does not know; and the log still says what it said."""
    async with gateway_in(tmp_path, **PATIENT) as gateway:
        before = await gateway.ask("/api/v1/fills")
        _, token = TokenStore(token_file(gateway.home)).create("all", ("admin", "alerts"), 1, int(time.time()))
        headers = {"Authorization": f"Bearer {token}"}
        await gateway.until(lambda: gateway.ask("/openapi.json", "", headers=headers), "the token to be known")
        asked = await asyncio.to_thread(ask_everything, gateway, headers)
        assert await gateway.ask("/api/v1/fills") == before
        assert asked >= 20
        assert "route_failed" not in gateway.log.read_text()


TOO_LARGE = (413, 431)


def ask_everything(gateway: Gateway, headers: dict[str, str]) -> int:
    """Some good and some bad requests to every route; returns how many routes there are."""
    request = urllib.request.Request(f"{gateway.url}/openapi.json", headers=headers)
    with urllib.request.urlopen(request) as answer:
        schema = schemathesis.openapi.from_dict(json.load(answer))
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == ENDLESS:
            continue
        count += 1
        raw = schema.raw_schema["paths"][operation.path][operation.method]
        examples = EXAMPLES if raw.get("parameters") or raw.get("requestBody") else 1
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try_out(operation, mode, gateway.url, headers, examples)
    return count


def try_out(operation: Any, mode: Any, url: str, headers: dict[str, str], examples: int) -> None:
    """So many requests to one route."""
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=quiet,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        wait_s = case.body.get("wait_s") if isinstance(case.body, dict) else None
        if type(wait_s) in (int, float) and 0 < wait_s <= WAIT_S_MAX:
            case.body["wait_s"] = 0
        answer = case.call(base_url=url, headers=headers)
        checks = [
            each for each in CHECKS if OURS.get(answer.status_code) != operation.path or each is not not_a_server_error
        ]
        if (
            answer.status_code in TOO_LARGE
        ):  # refused before anybody looked whether it is valid; schemathesis does not count it as such
            checks.remove(negative_data_rejection)
        case.validate_response(answer, checks=checks)

    try:
        ask()
    except schemathesis.errors.InvalidSchema:
        raise
    except Exception as error:  # told with the route: hypothesis shows only the case
        if type(error).__name__ in ("Unsatisfiable", "SkipTest", "Unsatisfied"):
            return  # nothing bad can be sent to it
        raise
