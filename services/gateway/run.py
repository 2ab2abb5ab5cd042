"""The gateway as a process: settings, its desk, its two ports, signals, exit codes (as `libs.runtime.process` has them).

Crash-only: a lost lease, a bus that refuses us, a defect beside the requests ends the process, and a restart reads what is on record. While the bus is only
away, it stays and says so. What it shows in between is what it has known.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import ssl
import sys
from typing import Any, NoReturn

import structlog
import uvloop

from libs.common.messages import AccessRefused, AlertRaised
from libs.desk.desk import Desk
from libs.desk.refusals import Refused
from libs.desk.tokens import TokenBook
from libs.runtime import logs
from libs.runtime.bus import BusError
from libs.runtime.clock import ClockUnavailable, open_clock
from libs.runtime.code_version import code_version
from libs.runtime.health import HealthServer, Readiness
from libs.runtime.live import PortTaken
from libs.runtime.metrics import ServiceMetrics
from libs.runtime.nats_config import KeysError, check_private, key_file
from libs.runtime.process import EX_OK, EX_SOFTWARE, EX_TEMPFAIL
from libs.runtime.redaction import redact
from libs.runtime.settings import EX_CONFIG, SettingsError, settings_in_question, settings_or_exit
from services.gateway.app import make_app
from services.gateway.contract import CONTRACT
from services.gateway.guard import Guard
from services.gateway.refusals import OFTEN_S, Often, Refusals
from services.gateway.server import QuietServer, bound, make_room, server_of
from services.gateway.settings import Settings
from services.gateway.watch import Watch

OFTEN_CODE = "ACCESS_REFUSED_OFTEN"
NOBODY = "nobody is let in: the file of tokens cannot be believed"

_log = structlog.get_logger(__name__)


def main() -> NoReturn:
    """Run until SIGTERM or SIGINT; exits 0, 70 (a defect), 75 (try again) or 78 (only a human can help)."""
    settings = settings_or_exit(Settings)
    sys.exit(uvloop.run(_run(settings)))


async def _run(settings: Settings) -> int:
    logger = logs.configure(CONTRACT.service, settings.log_level)
    for question in settings_in_question(settings):
        logger.warning("setting_in_question", reason=question)
    stopping, exit_code = asyncio.Event(), EX_OK
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    try:
        await _serve(settings, stopping)
    except* (KeysError, SettingsError) as group:
        print(f"bulkhead refuses to start:\n{redact(str(_first(group)))}", file=sys.stderr)
        exit_code = EX_CONFIG
    except* (BusError, ClockUnavailable, PortTaken) as group:
        logger.error("ended", reason=str(_first(group)))
        exit_code = EX_TEMPFAIL
    except* Exception as group:  # crash-only: whatever it was, it is told in full and the process ends
        logger.error("crashed", exc_info=group)
        exit_code = EX_SOFTWARE
    return exit_code


async def _serve(settings: Settings, stopping: asyncio.Event) -> None:
    check_private(key_file(settings.home, CONTRACT.service))
    metrics, clock = ServiceMetrics(CONTRACT.service), open_clock(settings.clock_url)
    starting = Starting(TokenBook(settings.tokens))
    health = HealthServer(settings.http_host, settings.http_port, starting.readiness, metrics)
    await _listen(health, settings)
    try:
        if not await _unless(stopping, clock.connect()):
            return
        desk = Desk(CONTRACT, settings, clock, settings.health_pages)
        starting.desk = desk
        try:
            await _while_open(settings, desk, starting.tokens, metrics, stopping)
        finally:
            desk.close()
    finally:
        await clock.close()
        await health.stop()


async def _while_open(
    settings: Settings, desk: Desk, tokens: TokenBook, metrics: ServiceMetrics, stopping: asyncio.Event
) -> None:
    """Serve until we are told to stop, or something ends that must not. The desk goes last: it takes the last refusals."""
    watch = Watch(desk, settings.log_stream, settings.health_pages)
    refusals = Refusals(
        metrics, lambda refused: desk.record(_event_of(refused)), lambda often: desk.record(_alert_of(often))
    )
    make_room(settings)
    server, socket = _server(settings, make_app(settings, desk, watch, tokens, refusals, metrics, stopping))
    following = asyncio.create_task(desk.run(), name="desk")
    telling = asyncio.create_task(refusals.run(), name="refusals")
    watching = asyncio.create_task(watch.run(), name="watch")
    guard = Guard(desk, watch, tokens, settings.home, clock_is_ours=not settings.clock_url)
    guarding = asyncio.create_task(guard.run(), name="guard")
    serving = asyncio.create_task(server.serve([socket]), name="http")
    told = asyncio.create_task(stopping.wait(), name="stop")
    _announce(settings, socket.getsockname()[1])
    try:
        await asyncio.wait({following, telling, watching, guarding, serving, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.set()
        server.should_exit = True
        await asyncio.wait({serving})
        for task in (guarding, watching, telling, following, told):
            task.cancel()
            await asyncio.wait({task})
    for task in (following, telling, watching, guarding, serving):
        if not task.cancelled():
            task.result()


class Starting:
    """What the health page says: of the desk, as soon as there is one."""

    def __init__(self, tokens: TokenBook) -> None:
        self.desk: Desk | None = None
        self.tokens = tokens
        self._version = code_version(__name__)

    def readiness(self) -> Readiness:
        """Whether what is shown is how things are."""
        if self.desk is None:
            return Readiness(ready=False, reasons=["waiting for the clock"])
        phase = self.desk.phase
        reasons = [] if phase.state == "LIVE" else [f"{phase.state.lower()}: {phase.reason}"]
        reasons += [NOBODY] if self.tokens.trouble else []
        ready = not reasons
        return Readiness(
            ready=ready,
            reasons=reasons,
            processed_seq=phase.processed_seq,
            lag=phase.lag,
            quiescent=ready and phase.lag == 0,
            code_version=self._version,
        )


def _server(settings: Settings, app: Any) -> tuple[QuietServer, Any]:
    try:
        server = server_of(app, settings)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", "") or getattr(error, "strerror", "")
        raise SettingsError(
            f"BULKHEAD_GATEWAY_TLS_CERT_FILE, _TLS_KEY_FILE: they cannot be used together ({reason})"
        ) from None
    host, port = settings.gateway_host, settings.gateway_port
    try:
        return server, bound(settings)
    except OSError as error:
        text = (
            f"BULKHEAD_GATEWAY_HOST, BULKHEAD_GATEWAY_PORT: got {host!r}, {port}; cannot listen there: {error.strerror}"
        )
        raise (PortTaken if error.errno == errno.EADDRINUSE else SettingsError)(text) from None


async def _listen(health: HealthServer, settings: Settings) -> None:
    host, port = settings.http_host, settings.http_port
    try:
        _log.info("listening", port=await health.start())
    except OSError as error:
        text = f"BULKHEAD_HTTP_HOST, BULKHEAD_HTTP_PORT: got {host!r}, {port}; cannot listen there: {error.strerror}"
        raise (PortTaken if error.errno == errno.EADDRINUSE else SettingsError)(text) from None


async def _unless(stopping: asyncio.Event, work: Any) -> bool:
    """Whether `work` came to its end before we were told to stop."""
    task, told = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for each in (task, told):
            each.cancel()
        await asyncio.gather(task, told, return_exceptions=True)


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


def _first(group: BaseException) -> BaseException:
    """The first error in a group, however deep."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
