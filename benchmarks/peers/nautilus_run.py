"""nautilus_trader: its backtest engine over bars, with its own indicators, risk engine and portfolio, a cash account.

    python nautilus_run.py BARS.csv

Its venue fills a market order at the close of the bar that the strategy has just seen, not at the next open. Every bar of this series opens where the one
before closed, so both are the same price; a bar at which it trades is counted as the one after it. Quantities have eight decimals.
"""

from __future__ import annotations

from decimal import Decimal

from measured import FAST, SLOW, Run, arguments, columns
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("BINANCE")
MINUTE = 60_000_000_000
MS = 1_000_000


class CrossConfig(StrategyConfig, frozen=True):
    """What the strategy is told."""

    bar_type: BarType
    fee: float


class Cross(Strategy):
    """Long while the fast average is above the slow one."""

    def __init__(self, config: CrossConfig):
        super().__init__(config)
        self.fast = SimpleMovingAverage(FAST)
        self.slow = SimpleMovingAverage(SLOW)
        self.fills: list[int] = []
        self.refused = 0
        self._held = 0

    def on_start(self) -> None:
        """Before the first bar."""
        self._name = self.config.bar_type.instrument_id
        self._instrument = self.cache.instrument(self._name)
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """A bar has closed."""
        if not self.slow.initialized:
            return
        wants = self.fast.value > self.slow.value
        if wants and not self._held:
            cash = self.portfolio.account(VENUE).balance_free(USDT).as_decimal()
            qty = float(cash) / (float(bar.close) * (1.0 + self.config.fee)) * (1.0 - 1e-12)
            self._order(OrderSide.BUY, Quantity(int(qty * 1e8) / 1e8, 8))
        elif self._held and not wants:
            self._order(OrderSide.SELL, self._held)

    def _order(self, side: OrderSide, qty: Quantity) -> None:
        self.submit_order(self.order_factory.market(self._name, side, qty))

    def on_order_filled(self, event: OrderFilled) -> None:
        """Remember what is held."""
        self.fills.append(event.ts_event)
        self._held = event.last_qty if event.order_side == OrderSide.BUY else 0

    def on_order_rejected(self, event: object) -> None:
        """Count it."""
        self.refused += 1

    def on_order_denied(self, event: object) -> None:
        """Count it."""
        self.refused += 1


def pair(fee: Decimal) -> CurrencyPair:
    """A venue that hardly rounds."""
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("BTCUSDT"), VENUE),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=6,
        size_precision=8,
        price_increment=Price(1e-6, 6),
        size_increment=Quantity(1e-8, 8),
        ts_event=0,
        ts_init=0,
        maker_fee=fee,
        taker_fee=fee,
    )


def main() -> None:
    """Print one line of JSON."""
    told = arguments(__doc__)
    bars = columns(told.file, told.limit)
    engine = BacktestEngine(
        BacktestEngineConfig(trader_id=TraderId("BENCH-001"), logging=LoggingConfig(bypass_logging=True))
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=None,
        starting_balances=[Money(told.cash, USDT)],
    )
    instrument = pair(Decimal(str(told.fee)))
    engine.add_instrument(instrument)
    kind = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    rows = zip(*(bars[name] for name in ("timestamp", "open", "high", "low", "close", "volume")), strict=True)
    engine.add_data(
        [
            Bar(
                kind,
                Price(row[1], 6),
                Price(row[2], 6),
                Price(row[3], 6),
                Price(row[4], 6),
                Quantity(row[5], 8),
                row[0] * MS + MINUTE,
                row[0] * MS + MINUTE,
            )
            for row in rows
        ]
    )
    strategy = Cross(CrossConfig(bar_type=kind, fee=told.fee))
    engine.add_strategy(strategy)
    with Run() as run:
        engine.run()
    account = engine.portfolio.account(VENUE)
    coins = float(account.balance_total(BTC) or 0) if account.balance_total(BTC) is not None else 0.0
    equity = float(account.balance_total(USDT)) + coins * bars["close"][-1]
    begin = bars["timestamp"][0] * MS
    run.report(
        told,
        engine="nautilus_trader",
        bars=len(bars["close"]),
        orders=len(strategy.fills),
        equity=equity,
        refused=strategy.refused,
        places=[(each - begin) // MINUTE for each in strategy.fills],
    )


if __name__ == "__main__":
    main()
