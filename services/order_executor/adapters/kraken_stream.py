"""Kraken's user stream: the channels `executions` and `balances`, over a connection that is renewed as `UserStream` renews it.

What is special, all of it measured or read: ccxt takes `order_userref` for the client id, so the real `cl_ord_id` is read from the raw
frame; a subscription that is refused leaves the watcher hanging, so the acknowledgement is waited for here; and an order is shown whole
only once, so what was shown is remembered, and later frames, which name the order's id and what changed, are laid over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import BalanceMoved, VenueFill, VenueOrder, VenueReported
from libs.common.money import ZERO, plain
from libs.runtime.adapter import AdapterContext
from services.order_executor.adapters.frames import BadFrame, converted
from services.order_executor.adapters.kraken_frames import side_of, status_of, type_of
from services.order_executor.adapters.kraken_names import asset_of, socket_symbol_of
from services.order_executor.adapters.kraken_wire import Turns
from services.order_executor.adapters.names import NAMES_KEPT, OrderNames
from services.order_executor.adapters.user_stream import CONNECT_S_MAX, LOOK_S, StreamLost, UserStream

EXECUTIONS, BALANCES = "executions", "balances"
NOT_YET = "pending_new"
TRANSFERS = ("deposit", "withdrawal", "transfer")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Fee(msgspec.Struct):
    asset: str
    qty: Decimal


class _Execution(msgspec.Struct):
    """A frame of `executions`, laid over what was known of its order."""

    order_id: str
    exec_type: str
    order_status: str
    timestamp: str
    symbol: str
    side: str
    order_type: str
    cl_ord_id: str | None = None
    order_qty: Decimal | None = None
    cum_qty: Decimal = ZERO
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    exec_id: str = ""
    last_qty: Decimal = ZERO
    last_price: Decimal = ZERO
    liquidity_ind: str = "t"
    fees: list[_Fee] = []


class _Move(msgspec.Struct):
    """An update of `balances`."""

    asset: str
    amount: Decimal
    type: str
    ledger_id: str
    timestamp: str


class KrakenStream(UserStream):
    """One account's stream at Kraken. `names` learns the client ids of orders."""

    def __init__(
        self,
        connect: Callable[[], Any],
        instruments: tuple[str, ...],
        context: AdapterContext,
        on_clock_refused: Callable[[], None],
        *,
        names: OrderNames,
        turns: Turns,
    ) -> None:
        by_symbol = {socket_symbol_of(name): name for name in instruments}
        super().__init__(connect, by_symbol, context, on_clock_refused)
        self._names = names
        self._turns = turns
        self._orders: dict[str, dict[str, Any]] = {}
        self._subscribed: dict[str, asyncio.Future[None]] = {}
        self._watching: list[asyncio.Task[Any]] = []

    async def _subscribe(self, exchange: Any) -> None:
        """Both channels, and until both are acknowledged nobody is told that we listen."""
        loop = asyncio.get_running_loop()
        self._subscribed = {channel: loop.create_future() for channel in (EXECUTIONS, BALANCES)}
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                if self._markets:
                    exchange.set_markets(self._markets)
                else:
                    self._markets = list((await exchange.load_markets()).values())
                if not self._markets:
                    raise StreamLost("the venue lists no markets")
                await self._turns.quiet()
                await exchange.authenticate()
                self._watching = [
                    asyncio.create_task(watch()) for watch in (exchange.watch_orders, exchange.watch_balance)
                ]
                await self._acknowledged()
        except BaseException:  # also when we are cancelled: nobody would await the watchers any more
            await self._stop_watching()
            raise
        self._say(connected=True, reason="subscribed")

    async def _acknowledged(self) -> None:
        waiting = {asyncio.ensure_future(asyncio.gather(*self._subscribed.values())), *self._watching}
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    async def _read(self, exchange: Any) -> None:
        """Hear until anything breaks. The watchers are never answered: they fail when their connection does."""
        try:
            async with asyncio.TaskGroup() as lookouts:
                lookouts.create_task(self._watched())
                lookouts.create_task(_watch_over(exchange))
        finally:
            await self._stop_watching()

    async def _watched(self) -> None:
        await asyncio.gather(*self._watching)
        raise StreamLost("a watcher was answered")

    async def _stop_watching(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        self._watching = []

    def _listen_in(self, exchange: Any) -> None:
        """Take every frame about the account as it comes in; all else is ccxt's."""
        take = exchange.handle_message

        def handle_message(client: Any, message: Any) -> None:
            if not isinstance(message, dict):
                return
            if message.get("method") == "subscribe":
                self._note_subscription(message)
            elif message.get("channel") == EXECUTIONS:
                self._tell_all(message, self._reported)
            elif message.get("channel") == BALANCES:
                if message.get("type") == "update":
                    self._tell_all(message, self._moved)
            else:
                take(client, message)

        exchange.handle_message = handle_message

    def _note_subscription(self, message: dict[str, Any]) -> None:
        result = message.get("result")
        channel = result.get("channel") if isinstance(result, dict) else None
        for name, future in self._subscribed.items():
            if future.done():
                continue
            if message.get("success") is True and name == channel:
                future.set_result(None)
            elif message.get("success") is not True:
                future.set_exception(StreamLost("the venue refused our subscription"))

    def _tell_all(self, message: dict[str, Any], fact: Callable[[dict[str, Any], int], Any]) -> None:
        data = message.get("data")
        for raw in data if isinstance(data, list) else []:
            try:
                told = fact(converted(raw, dict[str, Any]), self._context.clock.now())
            except (BadFrame, ValueError) as error:
                self._context.logger.warning(
                    "user_stream_nonsense", channel=message["channel"], detail=str(error)[:200]
                )
                continue
            if told is not None:
                self._context.emit(told)

    def _reported(self, raw: dict[str, Any], now: int) -> VenueReported | None:
        """One execution report; None if it says nothing yet, or is about an instrument we do not trade.

        Its id follows from its content, so that the same report told twice is recognised as one.
        """
        order_id = str(raw.get("order_id", ""))
        known = {**self._orders.get(order_id, {}), **raw}
        self._remember(order_id, known)
        if known.get("exec_type") == NOT_YET:
            return None
        if "symbol" not in known:
            raise BadFrame("an order that was never shown whole")
        seen = converted(known, _Execution)
        instrument = self._instruments.get(seen.symbol)
        if instrument is None:
            return None
        name = seen.cl_ord_id or ""
        self._names.remember(instrument, order_id, name)
        is_fill = seen.exec_type == "trade"
        return VenueReported(
            id=derive_id(
                "kraken", order_id, seen.exec_type, seen.order_status, seen.exec_id * is_fill, str(seen.cum_qty)
            ),
            ts_event=_moment(seen.timestamp),
            ts_init=now,
            instrument=instrument,
            order=None if seen.order_qty is None else _order(seen, instrument, name, seen.order_qty),
            fill=_fill(seen, instrument, name) if is_fill else None,
        )

    def _moved(self, raw: dict[str, Any], now: int) -> BalanceMoved | None:
        """A deposit or a withdrawal; None for what a trade did."""
        if raw.get("type") not in TRANSFERS:
            return None
        move = converted(raw, _Move)
        if not move.amount.is_finite():
            raise BadFrame("amount is not a number")
        return BalanceMoved(
            id=derive_id("balance", move.ledger_id, move.asset, str(move.amount)),
            ts_event=_moment(move.timestamp),
            ts_init=now,
            asset=asset_of(move.asset),
            amount=move.amount,
        )

    def _remember(self, order_id: str, known: dict[str, Any]) -> None:
        self._orders.pop(order_id, None)
        self._orders[order_id] = known
        while len(self._orders) > NAMES_KEPT:
            del self._orders[next(iter(self._orders))]


def _order(seen: _Execution, instrument: str, name: str, order_qty: Decimal) -> VenueOrder:
    """How the order stands. That a trade was the last one its word does not say; the quantities do."""
    status = "FILLED" if order_qty == seen.cum_qty else status_of(seen.order_status)
    limit_px, stop_px = (plain(px) if px else None for px in (seen.limit_price, seen.stop_price))
    return VenueOrder(
        cl_ord_id=name,
        venue_order_id=seen.order_id,
        instrument=instrument,
        side=side_of(seen.side),
        ord_type=type_of(seen.order_type, limit_px, stop_px),
        ord_status="PARTIALLY_FILLED" if status == "NEW" and seen.cum_qty else status,
        order_qty=plain(order_qty),
        cum_qty=plain(seen.cum_qty),
        limit_px=limit_px,
        stop_px=stop_px,
        ts_event=_moment(seen.timestamp),
    )


def _fill(seen: _Execution, instrument: str, name: str) -> VenueFill:
    quote = instrument.partition("-")[2]
    fee = seen.fees[0] if seen.fees else _Fee(asset=quote, qty=ZERO)
    return VenueFill(
        exec_id=seen.exec_id,
        cl_ord_id=name,
        venue_order_id=seen.order_id,
        instrument=instrument,
        side=side_of(seen.side),
        qty=plain(seen.last_qty),
        px=plain(seen.last_price),
        commission=plain(fee.qty),
        commission_asset=asset_of(fee.asset),
        liquidity_side="MAKER" if seen.liquidity_ind == "m" else "TAKER",
        ts_event=_moment(seen.timestamp),
    )


def _moment(text: str) -> int:
    """An instant in ns.

    Raises:
        ValueError: it is none.
    """
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) * 1000


async def _watch_over(exchange: Any) -> None:
    """Raise once the connection is gone.

    Raises:
        StreamLost
    """
    url = exchange.urls["api"]["ws"]["privateV2"]
    while True:
        await asyncio.sleep(LOOK_S)
        if url not in exchange.clients:
            raise StreamLost("the connection is gone")
