"""An OTLP/HTTP receiver: takes the real protobuf, keeps every span with the service that sent it, and can be told to refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Taken(msgspec.Struct, frozen=True):
    """A span as it arrived: ids are hex, `parent` is empty at a root, `links` are (trace, span)."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]


class OtlpReceiver:
    """Listens on a free port of this machine once started; `raw` are the spans by name as protobuf, `bodies` all bytes that came."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.raw: dict[str, Any] = {}
        self.status = 200
        self.requests = 0
        self.bodies = b""
        self.endpoint = ""
        self._runner: web.AppRunner

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    @property
    def services(self) -> set[str]:
        """Who has sent spans."""
        return {span.service for span in self.taken}

    def trace(self, trace_id: str) -> dict[str, Taken]:
        """The spans of one trace by their ids."""
        return {span.span_id: span for span in self.taken if span.trace_id == trace_id}

    async def until(self, condition: Callable[[], Any], seconds: float = 20) -> None:
        """Return once `condition` holds."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  (any condition, not an event of ours)
                await asyncio.sleep(0.02)

    async def _take(self, request: web.Request) -> web.Response:
        self.requests += 1
        body = await request.read()
        if self.status != 200:
            return web.Response(status=self.status)
        self.bodies += body
        self.taken += self._spans(ExportTraceServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")

    def _spans(self, decoded: Any) -> Iterator[Taken]:
        for resource in decoded.resource_spans:
            about = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.raw[span.name] = span
                    yield Taken(
                        service=about["service.name"],
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                        attributes={item.key: _value(item.value) for item in span.attributes},
                    )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
