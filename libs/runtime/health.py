"""Three pages for machines: is it alive, can it work, what does it count. Nothing else, and no secret.

`/livez` answers while the event loop runs and tests nothing beyond: a restart does not cure a bus that is away. `/readyz` asks
the probe, which does test it. `/readyz?standby=ready` is content with an instance that stands by as well: a rolling update waits for that before it ends
the instance whose lease the new one waits for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from libs.runtime.metrics import ServiceMetrics
from libs.runtime.ports import cannot_listen
from libs.runtime.readiness import Readiness
from libs.runtime.redaction import redact

__all__ = ["HealthServer", "Readiness"]

VARIABLES = "BULKHEAD_HTTP_HOST, BULKHEAD_HTTP_PORT"

Probe = Callable[[], Readiness]

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Server": "bulkhead",
}
_log = structlog.get_logger(__name__)


class HealthServer:
    """`/livez`, `/readyz` and `/metrics` of one service on `host`:`port` (0: a free one)."""

    def __init__(self, host: str, port: int, probe: Probe, metrics: ServiceMetrics):
        self._host = host
        self._port = port
        self._probe = probe
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            PortTaken, SettingsError: the address is taken, or not ours.
        """
        app = web.Application(middlewares=[_as_json], client_max_size=1024)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, keepalive_timeout=15)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            raise cannot_listen(error, VARIABLES, self._host, self._port) from None
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port; harmless when it was never opened."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def readiness(self) -> Readiness:
        """What the probe says; a probe that fails means not ready."""
        try:
            found = self._probe()
        except Exception as error:  # noqa: BLE001  a broken probe must be a 503 that says so, never a dead health port
            _log.exception("probe_failed")
            found = Readiness(ready=False, reasons=[f"the probe failed: {type(error).__name__}"])
        return msgspec.structs.replace(found, reasons=[redact(reason) for reason in found.reasons])

    async def _livez(self, request: web.Request) -> web.Response:
        return _json(200, {"alive": True, "service": self._metrics.service})

    async def _readyz(self, request: web.Request) -> web.Response:
        found = self.readiness()
        is_enough = found.ready or (request.query.get("standby") == "ready" and found.stands_by)
        return _json(200 if is_enough else 503, found)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        self._metrics.observe(self.readiness())
        body, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": content_type})


def _json(status: int, content: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), headers={**_HEADERS, "Content-Type": "application/json"}
    )


@web.middleware
async def _as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as answer:
        return _json(answer.status, {"error": answer.reason, "pages": ["/livez", "/readyz", "/metrics"]})
