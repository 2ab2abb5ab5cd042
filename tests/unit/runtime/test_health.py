"""The health port: alive, ready, metrics; over a real HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from libs.runtime import logs
from libs.runtime.health import HealthServer, Readiness
from libs.runtime.metrics import LABEL_VALUES_MAX, ServiceMetrics
from libs.runtime.ports import PortTaken
from libs.runtime.readiness import STANDING_BY
from libs.runtime.redaction import forget_secrets
from libs.runtime.tracing import trace_id_of

SECRET = "s3cr3t-value-9000"
READY = Readiness(ready=True, processed_seq=41, lag=2, outbox=3, pending_requests=1, code_version="c0ffee")


class Service:
    """A service under test: its probe's answer can be changed."""

    def __init__(self) -> None:
        self.found: Readiness | Exception = READY
        self.metrics = ServiceMetrics("risk-gate")
        self.server = HealthServer("127.0.0.1", 0, self.probe, self.metrics)

    def probe(self) -> Readiness:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    service.port = await service.server.start()  # type: ignore[attr-defined]
    yield service
    await service.server.stop()
    await service.server.stop()


async def get(
    service: Service, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict, aiohttp.ClientResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{service.port}{path}", headers=headers) as answer,
    ):
        raw = await answer.read()
        body = await answer.json() if answer.content_type == "application/json" and raw else {"text": raw.decode()}
        return answer.status, body, answer


async def test_alive_whatever_the_probe_says(service: Service) -> None:
    """Liveness is about the process: a bus that is away must not get it restarted."""
    service.found = RuntimeError("broken")
    assert (await get(service, "/livez"))[:2] == (200, {"alive": True, "service": "risk-gate"})


async def test_ready_says_where_it_stands(service: Service) -> None:
    """Readiness carries the position, so that a drill can wait for "has processed the log's end"."""
    status, body, answer = await get(service, "/readyz")
    assert status == 200
    assert body == {
        "ready": True,
        "reasons": [],
        "processed_seq": 41,
        "lag": 2,
        "outbox": 3,
        "pending_requests": 1,
        "quiescent": False,
        "code_version": "c0ffee",
    }
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Server"] == "bulkhead"


async def test_not_ready_says_why_without_secrets(service: Service) -> None:
    """503 with the reason in words, and no secret in them."""
    logs.register_secret(SECRET)
    service.found = Readiness(ready=False, reasons=[f"bus refused nats://u:{SECRET}@bus"])
    status, body, _ = await get(service, "/readyz")
    forget_secrets()
    assert status == 503
    assert body["reasons"] == ["bus refused nats://u:[redacted]@bus"]


async def test_a_broken_probe_is_not_ready(service: Service) -> None:
    """A probe that raises is an answer: not ready; what it said is not shown."""
    service.found = RuntimeError(SECRET)
    status, body, _ = await get(service, "/readyz")
    assert (status, body["reasons"]) == (503, ["the probe failed: RuntimeError"])


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 404),
        ("/metrics/x", "GET", 404),
        ("/readyz", "POST", 405),
        ("/livez", "DELETE", 405),
        ("/.env", "GET", 404),
    ],
)
async def test_there_is_nothing_else(service: Service, path: str, method: str, status: int) -> None:
    """No other page, no other verb; the answer says which pages there are."""
    found, body, answer = await get(service, path, method)
    assert found == status
    assert body["pages"] == ["/livez", "/readyz", "/metrics"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_metrics_are_read_by_prometheus(service: Service) -> None:
    """Each series exists with its value after one event of each kind, under the service's name."""
    metrics = service.metrics
    metrics.handled("feed.marks", 0.002, 40, 5)
    metrics.appended("OrderDenied", 0.01, 44, 7)
    metrics.handled("feed.marks", 0.002, 41, 4)
    metrics.rejected("MALFORMED")
    metrics.rejected("free text of an attacker\n")
    metrics.market_dropped()
    metrics.snapshot_saved()
    _, body, answer = await get(service, "/metrics")
    assert answer.content_type == "text/plain"
    samples = {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "service")): sample.value
        for family in text_string_to_metric_families(body["text"])
        for sample in family.samples
    }
    assert samples["bulkhead_inputs_total", "feed.marks"] == 2
    assert samples["bulkhead_appended_total", "OrderDenied"] == 1
    assert samples["bulkhead_rejected_total", "MALFORMED"] == 1
    assert samples["bulkhead_rejected_total", "other"] == 1
    assert samples["bulkhead_market_dropped_total",] == 1
    assert samples["bulkhead_handle_seconds_count",] == 2
    assert samples["bulkhead_append_seconds_count",] == 1
    assert samples["bulkhead_log_tail_seq",] == 44
    assert samples["bulkhead_processed_seq",] == 41
    assert (samples["bulkhead_log_lag",], samples["bulkhead_outbox",]) == (2, 3)
    assert samples["bulkhead_pending_requests",] == 1
    assert samples["bulkhead_ready",] == 1
    assert samples["bulkhead_snapshot_age_seconds",] >= 0
    assert samples["bulkhead_build_info", "c0ffee"] == 1
    assert "bulkhead_log_lines_dropped_total" in body["text"]
    assert "process_resident_memory_bytes" in body["text"]
    assert 'service="risk-gate"' in body["text"]


async def test_openmetrics_when_asked_for(service: Service) -> None:
    """A Prometheus that asks for OpenMetrics gets it."""
    _, _, answer = await get(service, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.content_type == "application/openmetrics-text"


def exemplars_in(text: str) -> dict[str, set[str]]:
    """The traces that the buckets of each histogram are examples of."""
    found: dict[str, set[str]] = {}
    for family in openmetrics_families(text):
        for sample in family.samples:
            if sample.exemplar is not None:
                found.setdefault(family.name, set()).add(sample.exemplar.labels["trace_id"])
    return found


async def test_an_observation_leads_to_its_trace(service: Service) -> None:
    """Who asks for OpenMetrics is shown where a slow input or append can be seen; the old format has no place for it, and without traces there is none."""
    trace, wanted = trace_id_of("story"), "application/openmetrics-text; version=1.0.0"
    service.metrics.handled("feed.marks", 0.002, 40, 5)
    _, body, _ = await get(service, "/metrics", Accept=wanted)
    assert exemplars_in(body["text"]) == {}
    service.metrics.handled("feed.marks", 0.002, 41, 5, trace)
    service.metrics.appended("OrderDenied", 0.01, 44, 7, trace)
    _, body, _ = await get(service, "/metrics", Accept=wanted)
    assert exemplars_in(body["text"]) == {"bulkhead_handle_seconds": {trace}, "bulkhead_append_seconds": {trace}}
    _, body, _ = await get(service, "/metrics")
    assert trace not in body["text"]


def test_labels_cannot_be_multiplied() -> None:
    """Whoever writes subjects cannot make a series for each of them."""
    metrics = ServiceMetrics("ledger")
    for number in range(LABEL_VALUES_MAX * 3):
        metrics.handled(f"agent.a{number}.signals", 0.001, number, 0)
    text = metrics.exposition()[0].decode()
    assert text.count("bulkhead_inputs_total{") == LABEL_VALUES_MAX + 1
    assert 'type="other"} 512.0' in text


async def test_a_taken_port_is_an_error(service: Service) -> None:
    """Two services cannot share a port; the second says so."""
    port: Callable | int = service.port  # type: ignore[attr-defined]
    second = HealthServer("127.0.0.1", port, service.probe, ServiceMetrics("ledger"))
    with pytest.raises(PortTaken, match="in use"):
        await second.start()
    await second.stop()


async def test_a_rolling_update_is_content_with_an_instance_that_stands_by(service: Service) -> None:
    """The new one gets the lease when the old one ends, and the old one ends when the new one is up: so standing by is enough for whoever asks for that alone."""
    service.found = Readiness(ready=False, reasons=[f"standby: {STANDING_BY}"])
    assert (await get(service, "/readyz?standby=ready"))[0] == 200
    assert (await get(service, "/readyz"))[0] == 503
    service.found = Readiness(ready=False, reasons=["standby: waiting for the lease: the bus is unreachable"])
    assert (await get(service, "/readyz?standby=ready"))[0] == 503
