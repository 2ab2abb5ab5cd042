"""The indicators equal TA-Lib bar for bar, survive a snapshot at any bar, and refuse what would poison them."""

from __future__ import annotations

import csv
import gzip
import math
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from libs.trading.indicators import ADX, ATR, EMA, MACD, MAGNITUDE_MAX, RSI, Bollinger, Indicator, series

REL_MAX = 1e-12
SEEDS = range(24)
DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[4] / "shared" / "data")) / "ohlcv_1m"
Bars = tuple[np.ndarray, np.ndarray, np.ndarray]


def _walk(seed: int, count: int = 1500) -> Bars:
    """A seeded random walk (high, low, close) at a scale of its own, with flat stretches and jumps."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.004, count) * (rng.random(count) > 0.1)
    returns[rng.integers(0, count, 5)] += rng.choice([-0.1, 0.1], 5)
    close = 10.0 ** rng.integers(-3, 6) * np.exp(np.cumsum(returns))
    reach = np.abs(rng.normal(0, 0.002, (2, count))) * (rng.random(count) > 0.1)
    opened = np.concatenate([close[:1], close[:-1]])
    return np.maximum(opened, close) * (1 + reach[0]), np.minimum(opened, close) * (1 - reach[1]), close


def _recorded(name: str) -> Bars:
    path = DATA / f"{name}_1m_2025.csv.gz"
    if not path.exists():
        pytest.skip(f"recorded bars are not here: {path.name} (set BULKHEAD_DATA_DIR)")
    with gzip.open(path, "rt") as lines:
        rows = [(float(row["high"]), float(row["low"]), float(row["close"])) for row in csv.DictReader(lines)][:20_000]
    high, low, close = np.array(rows).T.copy()
    return high, low, close


def _pairs(bars: Bars, n: int) -> list[tuple[Indicator, tuple[list[float], ...], np.ndarray]]:
    """Each indicator, its columns (plain floats, as they come off the wire), and what TA-Lib makes of them."""
    high, low, close = bars
    columns = tuple(column.tolist() for column in bars)
    return [
        (EMA(n), columns[2:], talib.EMA(close, n)),
        (RSI(n), columns[2:], talib.RSI(close, n)),
        (ATR(n), columns, talib.ATR(high, low, close, n)),
        (ADX(n), columns, talib.ADX(high, low, close, n)),
    ]


def _lines(close: np.ndarray, n: int) -> list[tuple[str, list[float | None], np.ndarray]]:
    """Each line of MACD and of the bands over `close`: its name, our values by the fold, and TA-Lib's."""
    macd, bands = MACD.of(n, 2 * n + 2, max(2, n // 2)), Bollinger(n, 2.5)
    rows: list[tuple[float | None, ...]] = []
    for px in close.tolist():
        macd.update(px)
        bands.update(px)
        rows.append((macd.value, macd.signal.value, macd.histogram, bands.upper, bands.value, bands.lower))
    names = ("MACD", "signal", "histogram", "upper", "middle", "lower")
    theirs = (*talib.MACD(close, n, 2 * n + 2, max(2, n // 2)), *talib.BBANDS(close, n, 2.5, 2.5))
    return [(name, list(ours), line) for name, ours, line in zip(names, zip(*rows, strict=True), theirs, strict=True)]


def _assert_equal(name: str, ours: list[float | None], theirs: np.ndarray, unit: np.ndarray | None = None) -> None:
    """Equal from the first value on, each to `REL_MAX` of itself, or of its `unit`."""
    mask = [value is None for value in ours]
    assert mask == list(np.isnan(theirs)), f"{name}: the first value stands on another bar"
    values = np.array([value for value in ours if value is not None])
    expected = theirs[~np.isnan(theirs)]
    # the oracle's zeros (nothing ever moved) are compared absolutely
    size = np.abs(expected) if unit is None else unit[~np.isnan(theirs)]
    worst = np.max(np.abs(values - expected) / np.where(size == 0, 1.0, size), initial=0.0)
    assert worst <= REL_MAX, f"{name}: worst relative difference {worst}"


@pytest.mark.parametrize("n", [2, 14, 50])
@pytest.mark.parametrize("seed", SEEDS)
def test_batch_equals_talib(seed: int, n: int) -> None:
    """The fold over a whole series is TA-Lib's batch result, first value and all."""
    for indicator, columns, theirs in _pairs(_walk(seed), n):
        _assert_equal(type(indicator).__name__, series(indicator, *columns), theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_bar_equals_talib_on_the_prefix(seed: int) -> None:
    """At every bar the incremental value is what TA-Lib says of the bars so far: nothing later is needed or revised."""
    bars = _walk(seed, 120)
    for length in range(1, 121, 7):
        prefix = tuple(column[:length] for column in bars)
        for indicator, columns, theirs in _pairs(prefix, 14):  # type: ignore[arg-type]
            last = series(indicator, *columns)[-1]
            assert (last is None) == math.isnan(theirs[-1])
            assert last is None or last == pytest.approx(theirs[-1], rel=REL_MAX)
            assert indicator.value == last


@pytest.mark.parametrize("n", [2, 12, 50])
@pytest.mark.parametrize("seed", SEEDS)
def test_macd_and_bands_equal_talib(seed: int, n: int) -> None:
    """Every line of both is TA-Lib's from its first value on; they cross zero, so what differs is measured by the price."""
    close = _walk(seed)[2]
    for name, ours, theirs in _lines(close, n):
        _assert_equal(name, ours, theirs, close)


def test_macd_starts_where_its_slow_average_can() -> None:
    """With 12, 26 and 9 the first value stands on bar 33, and the fast average was seeded by bars 14 to 25 alone."""
    close = _walk(7, 60)[2]
    close[:14] *= 3.0  # bars that only the slow average has seen
    values = series(MACD(), close.tolist())
    assert (values[32], values[33]) == (None, pytest.approx(talib.MACD(close, 12, 26, 9)[0][33], rel=REL_MAX))


@pytest.mark.parametrize("name", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"])
def test_recorded_bars_equal_talib(name: str) -> None:
    """On recorded Binance bars the numbers are TA-Lib's too."""
    recorded = _recorded(name)
    for n in (14, 200):
        for indicator, columns, theirs in _pairs(recorded, n):
            _assert_equal(f"{name} {type(indicator).__name__}({n})", series(indicator, *columns), theirs)
    for line, ours, theirs in _lines(recorded[2], 20):
        _assert_equal(f"{name} {line}", ours, theirs, recorded[2])


def test_a_market_that_does_not_move() -> None:
    """Flat for ever: EMA is the price, ATR and ADX are 0 as in TA-Lib, and RSI is undecided instead of oversold."""
    flat = np.full(200, 42.5)
    assert series(EMA(14), flat)[-1] == 42.5
    assert series(ATR(14), flat, flat, flat)[-1] == talib.ATR(flat, flat, flat, 14)[-1] == 0.0
    assert series(ADX(14), flat, flat, flat)[-1] == talib.ADX(flat, flat, flat, 14)[-1] == 0.0
    assert talib.RSI(flat, 14)[-1] == 0.0
    assert set(series(RSI(14), flat)[14:]) == {50.0}
    assert series(MACD(), flat)[-1] == 0.0


def test_bands_without_width_say_no_position() -> None:
    """Where nothing moved there is no place between the bands; half way up is another thing."""
    bands = Bollinger(4)
    for px in (0.1, 0.3, 0.1, 0.1):
        assert bands.position is None
        bands.update(px)
    assert bands.position == pytest.approx(0.5 - 0.05 / (4 * 0.03**0.5 / 2), rel=REL_MAX)
    for _ in range(4):
        bands.update(0.1)
    assert (bands.lower, bands.value, bands.upper, bands.position) == (0.1, 0.1, 0.1, None)
    for px, position in ((0.0, 0.0), (1.0, 1.0)):
        other = Bollinger(4, 3.0**0.5)  # one of four outside is the root of three deviations away
        series(other, [0.5, 0.5, 0.5, px])
        assert other.position == pytest.approx(position, abs=REL_MAX)


def test_a_market_that_stops_moving() -> None:
    """After a trend dies out completely RSI returns to undecided and ADX freezes where TA-Lib freezes it."""
    close = np.concatenate([_walk(1, 100)[2], np.full(1500, 77.0)])
    assert series(RSI(14), close)[-1] == 50.0
    _assert_equal("ADX", series(ADX(14), close, close, close), talib.ADX(close, close, close, 14))


@pytest.mark.parametrize("cut", [0, 1, 13, 14, 15, 27, 28, 300])
def test_a_snapshot_at_any_bar_changes_nothing(cut: int) -> None:
    """Frozen to JSON and thawed in the middle, an indicator goes on with identical values."""
    bars = _walk(3, 400)
    closes = (bars[2].tolist(),)
    others: list[tuple[Indicator, tuple[list[float], ...]]] = [(MACD(), closes), (Bollinger(), closes)]
    for indicator, columns in [*(pair[:2] for pair in _pairs(bars, 14)), *others]:
        whole = series(msgspec.json.decode(msgspec.json.encode(indicator), type=type(indicator)), *columns)
        first = series(indicator, *(column[:cut] for column in columns))
        thawed = msgspec.json.decode(msgspec.json.encode(indicator), type=type(indicator))
        assert thawed == indicator
        assert first + series(thawed, *(column[cut:] for column in columns)) == whole


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e101])
def test_a_number_that_is_none_is_refused(poison: float) -> None:
    """One bad bar must not become a permanent "oversold": it is refused by name and leaves no trace."""
    bars = _walk(5, 40)
    others: list[tuple[Indicator, tuple[list[float], ...]]] = [
        (each, (bars[2].tolist(),)) for each in (MACD(), Bollinger())
    ]
    for indicator, columns in [*(pair[:2] for pair in _pairs(bars, 14)), *others]:
        series(indicator, *columns)
        before = msgspec.json.encode(indicator)
        with pytest.raises(ValueError, match=r"close is (nan|inf|-inf|1e\+101); an indicator takes finite prices only"):
            indicator.update(*[100.0] * (len(columns) - 1), poison)
        assert msgspec.json.encode(indicator) == before


@pytest.mark.parametrize("indicator", [ATR(14), ADX(14)])
def test_a_bar_upside_down_is_refused(indicator: Indicator) -> None:
    """A high below the low is no bar."""
    with pytest.raises(ValueError, match=r"high 1\.0 is below low 2\.0"):
        indicator.update(1.0, 2.0, 1.5)
    assert indicator.age == 0


@pytest.mark.parametrize(
    ("kind", "name"),
    [(EMA, "EMA span"), (RSI, "RSI n"), (ATR, "ATR n"), (ADX, "ADX n"), (Bollinger, "Bollinger n")],
)
def test_a_period_of_one_bar_is_refused(kind: type, name: str) -> None:
    """An average over one bar is none, in a setting as in a snapshot."""
    with pytest.raises(ValueError, match=f"{name} is 1"):
        kind(1)
    raw = msgspec.json.encode(kind(2)).replace(b":2", b":1", 1)
    with pytest.raises(msgspec.ValidationError, match=f"{name} is 1"):
        msgspec.json.decode(raw, type=kind)


def test_averages_and_bands_that_make_no_sense_are_refused() -> None:
    """A fast average slower than the slow one, and bands of no width, in a setting as in a snapshot."""
    with pytest.raises(ValueError, match="MACD fast span is 26; it must be below the slow one, 26"):
        MACD.of(26, 26, 9)
    raw = msgspec.json.encode(MACD()).replace(b":12", b":30")
    with pytest.raises(msgspec.ValidationError, match="MACD fast span is 30"):
        msgspec.json.decode(raw, type=MACD)
    for width in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"Bollinger width is {width}"):
            Bollinger(20, width)


@pytest.mark.parametrize(
    ("indicator", "bars"),
    [(EMA(20), 100), (RSI(14), 140), (ATR(14), 140), (ADX(14), 140), (MACD(), 175), (Bollinger(), 20)],
)
def test_ready_after_the_start_is_forgotten(indicator: Indicator, bars: int) -> None:
    """Decisions may use an EMA after 5 spans and a Wilder indicator after 10 periods, not a bar earlier."""
    row = (11.0, 9.0, 10.0) if isinstance(indicator, ATR | ADX) else (10.0,)
    for _ in range(bars - 1):
        indicator.update(*row)
    assert not indicator.ready_for_decisions
    indicator.update(*row)
    assert indicator.ready_for_decisions
    assert indicator.value is not None


@given(st.lists(st.tuples(*[st.floats(-MAGNITUDE_MAX, MAGNITUDE_MAX)] * 2), min_size=1, max_size=60))
def test_whatever_it_accepts_it_can_remember(rows: list[tuple[float, float]]) -> None:
    """No accepted series, however wild, brings NaN or infinity into the state; RSI and ADX stay in [0, 100]."""
    for indicator in (EMA(3), RSI(3), ATR(3), ADX(3), MACD.of(2, 4, 2), Bollinger(3)):
        for one, other in rows:
            indicator.update(*((max(one, other), min(one, other), one) if isinstance(indicator, ATR | ADX) else (one,)))
        assert msgspec.json.decode(msgspec.json.encode(indicator), type=type(indicator)) == indicator
        parts = msgspec.structs.astuple(indicator)
        assert all(math.isfinite(part) for part in parts if isinstance(part, float))
        assert not isinstance(indicator, Bollinger) or indicator.position is None or math.isfinite(indicator.position)
        if isinstance(indicator, RSI | ADX) and indicator.value is not None:
            assert 0.0 <= indicator.value <= 100.0 + 1e-9
