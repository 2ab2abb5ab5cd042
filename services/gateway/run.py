"""The gateway as a process: a door whose people come over HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

import structlog

from libs.common.messages import AccessRefused, AlertRaised
from libs.desk.desk import Desk
from libs.desk.door import Door
from libs.desk.refusals import Refused
from libs.desk.tokens import TokenBook
from libs.runtime.code_version import code_version
from libs.runtime.lifetime import live_and_exit
from libs.runtime.ports import cannot_listen
from libs.runtime.settings import SettingsError, settings_or_exit
from services.gateway.app import make_app
from services.gateway.contract import CONTRACT
from services.gateway.guard import Guard
from services.gateway.refusals import OFTEN_S, Often, Refusals
from services.gateway.series import LogSeries
from services.gateway.server import QuietServer, bound, make_room, server_of
from services.gateway.settings import Settings
from services.gateway.watch import Watch

OFTEN_CODE = "ACCESS_REFUSED_OFTEN"
TLS_VARIABLES = "BULKHEAD_GATEWAY_TLS_CERT_FILE, _TLS_KEY_FILE"
NOBODY = "nobody is let in: the file of tokens cannot be believed"

_log = structlog.get_logger(__name__)


def main() -> NoReturn:
    """Run until SIGTERM or SIGINT; exits 0, 70 (a defect), 75 (try again) or 78 (only a human can help)."""
    settings = settings_or_exit(Settings)
    live_and_exit(CONTRACT.service, settings, lambda: Gateway(settings))


class Gateway(Door):
    """The log over HTTP, the console, and a watchman beside them."""

    settings: Settings

    def __init__(self, settings: Settings):
        super().__init__(CONTRACT, settings, settings.health_pages, code_version(__name__))
        self._tokens = TokenBook(settings.tokens)

    @property
    def trouble(self) -> str:
        """Nobody can come in."""
        return NOBODY if self._tokens.trouble else ""

    def beside(self, desk: Desk) -> Sequence[Coroutine[Any, Any, object]]:
        """Tell refusals, measure, keep watch, serve; the server ends first, so that what it refuses last is told."""
        settings = self.settings
        watch = Watch(desk, settings.health_pages, settings.gateway_bus_monitor_url)
        refusals = Refusals(
            self._metrics, lambda refused: desk.record(_event_of(refused)), lambda often: desk.record(_alert_of(often))
        )
        make_room(settings)
        app = make_app(settings, desk, watch, self._tokens, refusals, self._metrics, self._stopping)
        server = _server_of(app, settings)
        listener = _listener(settings)
        _announce(settings, listener.getsockname()[1])
        guard = Guard(desk, watch, self._tokens, settings.home, clock_is_ours=not settings.clock_url)
        self._metrics.registry.register(LogSeries(desk, watch, settings.home, lambda: guard.clock_offset_s))
        return refusals.run(), watch.run(), guard.run(), _serve(server, listener)


async def _serve(server: QuietServer, listener: socket.socket) -> None:
    """Serve until cancelled, and then what is being answered."""
    serving = asyncio.create_task(server.serve([listener]), name="http")
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await asyncio.wait({serving})


def _server_of(app: Any, settings: Settings) -> QuietServer:
    try:
        return server_of(app, settings)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", "") or getattr(error, "strerror", "")
        raise SettingsError(f"{TLS_VARIABLES}: they cannot be used together ({reason})") from None


def _listener(settings: Settings) -> socket.socket:
    try:
        return bound(settings)
    except OSError as error:
        variables = "BULKHEAD_GATEWAY_HOST, BULKHEAD_GATEWAY_PORT"
        raise cannot_listen(error, variables, settings.gateway_host, settings.gateway_port) from None


def _announce(settings: Settings, port: int) -> None:
    """Where we are, for the log and for whoever let us choose a port."""
    scheme = "https" if settings.speaks_tls else "http"
    folder = settings.home / "gateway"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "port").write_text(f"{port}\n")
    _log.info("gateway_open", url=f"{scheme}://{settings.gateway_host}:{port}")


def _event_of(refused: Refused) -> AccessRefused:
    kind = refused.kind
    return AccessRefused(
        door=kind.door, who=kind.who, address=kind.address, what=refused.what, why=kind.why, count=refused.count
    )


def _alert_of(often: Often) -> AlertRaised:
    text = f"{often.count} bad tokens within {OFTEN_S / 60:.0f} minutes from {often.address}"
    return AlertRaised(code=OFTEN_CODE, severity="ticket", text=text)
