"""The live shell: one service over NATS. The same for every service; nothing here knows what a service decides.

Life of a process: settings → clock → bus → lease (a standby waits here, silent) → recover → live → clean stop or crash.
Crash-only: whatever is not an operating error with a typed answer ends the process, and a restart recovers. These end it:
another instance wrote under our prefix (fenced), an append without an answer, a lost lease, an exception in a machine.

    pull ──▶ engine.deliver ──▶ append (live_appends) ──▶ perform requests (live_requests) ──▶ answers ──▶ append …
    timers, lease, snapshots run beside it in the same event loop; the engine needs no lock. Its end is in live_stop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from libs.common.messages import Message, ServiceStopping
from libs.runtime import logs
from libs.runtime.adapter import Adapter, AdapterContext, LogEntry
from libs.runtime.bus import Bus, BusError, EpochOver
from libs.runtime.clock import open_clock
from libs.runtime.code_version import code_version
from libs.runtime.contract import Contract
from libs.runtime.engine import Engine
from libs.runtime.health import HealthServer, Readiness
from libs.runtime.lease import Lease
from libs.runtime.live_appends import Appends
from libs.runtime.live_requests import Requests
from libs.runtime.live_stop import Farewell
from libs.runtime.machine import Machine
from libs.runtime.market_outlet import MarketOutlet
from libs.runtime.metrics import ServiceMetrics, kind_of
from libs.runtime.nats_config import api_prefix, connect_options
from libs.runtime.ordered_pull import OrderedPull, follow
from libs.runtime.recovery import restart
from libs.runtime.settings import ServiceSettings
from libs.runtime.snapshots import SnapshotFolder, SnapshotKeeper
from libs.runtime.stopping import Stopped, cancelled, unless
from libs.runtime.streams import LEASE_TTL_S
from libs.runtime.tracing import Tracer
from libs.runtime.venue_budget import open_budget

STOP_S_MAX = 8.0
"""How long a stop may take, but for the closing of connections (a second or two): a supervisor waits ten seconds."""
REACT_SHARE = 0.625
"""The part of it in which the machine may still act; the rest closes the world and says its last words."""
SAID_MAX = 10_000
"""How much of what the world says may wait for the bus; beyond it the process ends, and begins again when the bus is there."""
YIELD_EVERY = 64

AdapterFactory = Callable[[Any], Adapter]
Seal = Callable[[Message], Message]


class LiveShell:
    """One process of one service."""

    def __init__(
        self,
        contract: Contract,
        machine_class: type[Machine],
        settings: ServiceSettings,
        *,
        adapter: AdapterFactory | None = None,
        seal: Seal | None = None,
    ):
        self.contract = contract
        self.settings = settings
        self._engine: Engine
        self._machine_class = machine_class
        self._code_version = code_version(machine_class.__module__)
        self._logger = logs.configure(contract.service, settings.log_level)
        self._metrics = ServiceMetrics(contract.service)
        self._tracer = Tracer(contract.service, settings.otlp_endpoint)
        self._clock = open_clock(settings.clock_url)
        self._adapter = adapter(settings) if adapter else None
        self._seal = seal
        self._snapshots = SnapshotFolder(settings.home, contract.writer)
        self._stop = asyncio.Event()
        self._live = asyncio.Event()
        self._timers_changed = asyncio.Event()
        self._market: MarketOutlet
        self._requests: Requests
        self._appends: Appends
        self._is_adapter_open = False
        self._is_reading = True
        self._phase = "starting"
        self._trouble: BusError | None = None
        self._keeper: SnapshotKeeper
        self._bus: Bus
        self._lease: Lease
        self._pull: OrderedPull

    async def run(self) -> None:
        """Live until `stop`; raises what ended it otherwise."""
        health = HealthServer(self.settings.http_host, self.settings.http_port, self._readiness, self._metrics)
        try:
            self._logger.info("listening", port=await health.start())
            await unless(self._stop, self._clock.connect())
            options = connect_options(self.settings.home, self.contract.service, self.settings.nats_url)
            self._phase = "waiting for the bus"
            told = {"on_closed": self._closed, "on_error": lambda text: self._logger.warning("bus_error", text=text)}
            stream, api = self.settings.log_stream, api_prefix(self.contract)
            self._bus = await unless(self._stop, Bus.connect(options, stream, api=api, **told))
            self._market = MarketOutlet(self._bus, self._metrics.market_dropped)
            self._budget = open_budget(self.contract, self.settings, self._bus, self._metrics.registry, self._clock.now)
            self._lease = Lease(self._bus, self.contract.writer, self.settings.instance, LEASE_TTL_S)
            self._metrics.leads = self._lease.is_ours
            await unless(self._stop, self._lease.wait(self._stand_by))
            await unless(self._stop, self._recover())
            await self._serve()
        except Stopped:
            if self._trouble is not None:
                raise self._trouble from None
        finally:
            await self._clock.close()
            await self._tracer.close()
            if hasattr(self, "_bus"):
                await self._bus.close()
            await health.stop()

    def _closed(self) -> None:
        """nats-py has given up: there is no way back for this connection."""
        if not self._stop.is_set():
            self._trouble = BusError("the connection to the bus was closed for good")
            self._stop.set()

    def stop(self) -> None:
        """Finish what is decided, snapshot, leave."""
        self._phase = "stopping"
        self._stop.set()

    # --- start --------------------------------------------------------------------------------------------------

    def _stand_by(self, reason: str) -> None:
        self._phase = reason
        self._logger.info("standing_by", reason=reason)

    async def _recover(self) -> None:
        self._phase = "recovering"
        stream = self.settings.log_stream
        settings = self.settings.machine()
        await self._bus.epochs.settle()
        past = await restart(
            self._bus,
            self.contract,
            self._machine_class,
            settings,
            lambda: self._snapshots.load(stream, self._code_version),
            self._snapshots.watermark(stream),
        )
        self._engine = Engine(
            past.core,
            past.recovery,
            instance=self.settings.instance,
            code_version=self._code_version,
            started_at=self._clock.now(),
            seal=self._seal,
        )
        self._engine.start_with(settings)
        self._pull = OrderedPull(self._bus, self.contract.service, past.begins_at, may_read=self._lease.is_held)
        self._requests = Requests(
            self.contract.service, self._adapter, self._engine, self._clock, lambda: self._appends.wake()
        )
        self._appends = Appends(
            self._bus,
            self._engine,
            self.contract,
            self._requests,
            lambda: self._pull.silent_s,
            self._metrics,
            self._tracer,
            self._logger,
        )
        self._keeper = SnapshotKeeper(self._snapshots, self._engine, stream, self._metrics.snapshot_saved)
        self._logger.info(
            "recovering",
            from_seq=past.begins_at,
            position=past.recovery.position.in_seq,
            tail_seq=past.recovery.tail_seq,
            used_snapshot=past.used_snapshot,
        )

    async def _serve(self) -> None:
        work = (
            self._pull_inputs,
            self._appends.run,
            self._fire_timers,
            self._renew_lease,
            self._keeper.keep,
            self._market.drain,
            self._budget.keep,
            self._open_adapter,
        )
        async with asyncio.TaskGroup() as group:
            self._requests.group = group
            tasks = [group.create_task(each(), name=each.__name__) for each in work]
            group.create_task(self._end(tasks), name="end")

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        await self._stop.wait()
        if self._trouble is not None:
            raise self._trouble
        await self._finish()
        await cancelled(*tasks)

    # --- work ---------------------------------------------------------------------------------------------------

    async def _pull_inputs(self) -> None:
        engine, taken = self._engine, 0
        while self._is_reading:
            try:
                pulled = await self._pull.next()
            except EpochOver:  # the next life begins in the new one, and where this one ends
                self._keeper.save()
                raise
            if pulled is not None:
                self._deliver(pulled.entry)
                taken += 1
            if engine.recovering and self._pull.is_idle:
                self._begin_life()
            if taken % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            await self._appends.wait_room()

    def _deliver(self, entry: LogEntry) -> None:
        engine = self._engine
        next_due, began = engine.next_due, time.perf_counter()
        understood = engine.deliver(entry.seq, entry.subject, entry.payload)
        seconds = time.perf_counter() - began
        trace_id = self._tracer.processed(entry, seconds, entry.traceparent, is_poison=not understood)
        kind = kind_of(entry.subject) if understood else "poison"
        self._metrics.handled(kind, seconds, entry.seq, self._pull.waiting, trace_id)
        if engine.next_due != next_due:
            self._timers_changed.set()
        self._appends.wake()

    def _begin_life(self) -> None:
        self._engine.caught_up(self._clock.now())
        self._phase = "stopping" if self._stop.is_set() else "live"
        self._live.set()
        self._appends.wake()
        self._logger.info("live", seq=self._engine.core.memory.in_seq)

    async def _fire_timers(self) -> None:
        await self._live.wait()
        while True:
            self._timers_changed.clear()
            due = self._engine.next_due
            waits = [asyncio.ensure_future(self._timers_changed.wait())]
            if due is not None:
                waits.append(asyncio.ensure_future(self._clock.sleep_until(due)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            self._engine.tick(self._clock.now())
            self._appends.wake()

    async def _renew_lease(self) -> None:
        await self._lease.keep(lambda error: self._logger.warning("lease_not_renewed", reason=str(error)))

    async def _finish(self) -> None:
        """Let the machine react to its end, stop its input, append what is decided, snapshot."""
        self._appends.is_ending = True
        farewell = Farewell(self._engine, self._appends, self._requests, self._close_adapter, self._logger)
        if self._live.is_set():
            now = self._clock.now()
            self._engine.source(ServiceStopping(instance=self.settings.instance, ts_event=now, ts_init=now))
            self._appends.wake()
            await farewell.react(STOP_S_MAX * REACT_SHARE)
        self._is_reading = False
        await farewell.leave(STOP_S_MAX * (1 - REACT_SHARE))
        self._keeper.save()
        self._logger.info("stopped", seq=self._engine.core.memory.in_seq, backlog=self._engine.backlog)

    # --- the world ----------------------------------------------------------------------------------------------

    async def _open_adapter(self) -> None:
        await self._live.wait()
        if self._adapter is not None:
            context = AdapterContext(
                emit=self._emit,
                publish_market=self._market.send,
                clock=self._clock,
                state=lambda: self._engine.core.machine.state,
                logger=self._logger,
                holds_lease=self._lease.is_held,
                read_log=partial(follow, self._bus, may_read=self._lease.is_held),
                registry=self._metrics.registry,
                budget=self._budget,
                log_is_reachable=lambda: self._appends.is_reachable,
                lag=lambda: self._pull.waiting,
            )
            self._is_adapter_open = True
            await self._adapter.open(context)

    async def _close_adapter(self) -> None:
        if self._adapter is not None and self._is_adapter_open:
            await self._adapter.close()

    def _emit(self, message: Message) -> None:
        if self._engine.backlog >= SAID_MAX and not self._stop.is_set():
            self._trouble = BusError(f"{SAID_MAX} events of the world wait for a bus that does not take them")
            self._stop.set()
        self._engine.source(message)
        self._appends.wake()

    def _readiness(self) -> Readiness:
        engine = getattr(self, "_engine", None)
        if engine is None or self._phase != "live":
            return Readiness(ready=False, reasons=[self._phase], code_version=self._code_version)
        reasons = [] if self._appends.is_reachable else ["the bus is unreachable"]
        return Readiness(
            ready=not reasons,
            reasons=reasons,
            processed_seq=engine.core.memory.in_seq,
            lag=self._pull.waiting,
            outbox=engine.backlog,
            pending_requests=self._requests.out,
            quiescent=engine.is_quiescent and self._pull.is_idle and not self._requests.out,
            code_version=self._code_version,
        )
