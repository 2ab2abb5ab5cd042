"""What the filter rejected live it rejects again from a recording, and what it would reject today is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.codec import encode
from libs.common.messages import Message, PrintRejected
from libs.common.subjects import subject_of
from libs.runtime.adapter import LogEntry
from libs.runtime.recording_writer import RecordingWriter
from services.market_feed.doubt import SanityLimits
from services.market_feed.refilter import main, refilter
from services.market_feed.sanity import PriceFilter
from tests.unit.market_feed.prints import ticks, trade_at
from tests.unit.market_feed.tape import BTC, T0


def lived(limits: SanityLimits) -> list[Message]:
    """A market with a misprint every two hundred trades, as the feed recorded it: each print, then what it rejected."""
    belief, now, said = PriceFilter(limits), T0, []
    for number, (wait_ms, px) in enumerate(ticks(5, 3_000), start=1):
        now += int(wait_ms * 1_000_000)
        px = px * 0.7 if number % 200 == 0 else px
        trade = trade_at(now, number, px)
        said.append(trade)
        for rejected in belief.trade(trade, now).rejected:
            said.append(
                PrintRejected(
                    venue="binance",
                    instrument=BTC,
                    kind="TRADE",
                    reason=rejected.reason,
                    trade_id=rejected.print.trade_id,  # type: ignore[union-attr]
                    px=rejected.print.px,  # type: ignore[union-attr]
                    qty=1.0,
                    reference_px=rejected.reference_px,
                    band=rejected.band,
                    frame="",
                    ts_init=now,
                )
            )
    return said


def test_the_same_filter_gives_the_same_rejections() -> None:
    """Fourteen misprints then, fourteen now, none other; the last of them is still held."""
    result = refilter(lived(SanityLimits()), "binance")
    assert (result.prints, len(result.rejected), result.differences) == (3_000, 14, {})
    assert result.reasons == {"SPIKE": 14}


def test_another_filter_shows_where_it_differs() -> None:
    """Before a change of limits goes live, it is tried on what has been."""
    result = refilter(lived(SanityLimits()), "binance", SanityLimits(band_min=0.4, band_max=0.5))
    assert len(result.differences) == 14
    assert all(then != now for then, now in result.differences.values())


def test_a_recording_is_judged_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 says that nothing differs; what is no recording is said."""
    writer = RecordingWriter(tmp_path / "rec", "MARKET", "2026-01-05T00:00:00Z", 1)
    for seq, message in enumerate(lived(SanityLimits()), start=1):
        said = type(message)(
            **{name: getattr(message, name) for name in message.__struct_fields__} | {"producer": "market"}
        )
        writer.add(LogEntry(seq, subject_of(said), encode(said)))
    writer.commit()
    assert main([str(tmp_path / "rec")]) == 0
    assert '"prints": 3000' in capsys.readouterr().out
    assert main([str(tmp_path / "nothing")]) == 66
    assert str(tmp_path / "nothing") in capsys.readouterr().err
