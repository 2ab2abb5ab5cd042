"""`bulkhead performance`: what a book has earned, without the money that was paid in or out."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from libs.common.codec import encode
from libs.common.messages import CapitalMoved, EquityChanged, FeedMarks, FeedStatus, InstrumentSpec, Mark, Message
from libs.common.subjects import subject_of
from libs.common.timeframe import DAY, HOUR
from libs.desk.book_record import book_in
from libs.research.trials import Trial, TrialCounter
from libs.runtime.adapter import LogEntry
from services.cli.app import app
from services.cli.exit_codes import NOT_YET, OK, USAGE
from services.cli.log_lines import line_of
from tests.recorded_log import recorded_log
from tests.unit.trading.test_venue import BTC as BTC_SPEC

D = Decimal
T0 = 20_700 * DAY
TOLD = ("win_rate", "sharpe", "deflated_sharpe", "profit_factor", "exposure", "turnover", "cost_share")


def equity(hours: float, value: str) -> EquityChanged:
    return EquityChanged(
        producer="ledger",
        ts_init=T0 + int(hours * HOUR),
        ts_event=T0 + int(hours * HOUR),
        balance=D(value),
        equity=D(value),
        realized_pnl=D(0),
        unrealized_pnl=D(0),
        high_water_mark=D(value),
        drawdown=D(0),
    )


def paid(hours: float, asset: str, amount: str, reason: str = "TRANSFER") -> CapitalMoved:
    return CapitalMoved(producer="exec", ts_init=T0 + int(hours * HOUR), asset=asset, amount=D(amount), reason=reason)  # type: ignore[arg-type]


def venue(spec: InstrumentSpec) -> FeedStatus:
    return FeedStatus(
        producer="feed", ts_init=T0, venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=(spec,)
    )


def price(hours: float, bid: float) -> FeedMarks:
    ts = T0 + int(hours * HOUR)
    mark = Mark(
        instrument="BTC-USDT", bid_px=bid, ask_px=bid + 1, last_px=bid, protective_px=bid, trust="TRUSTED", ts=ts
    )
    return FeedMarks(producer="feed", ts_init=ts, venue="binance", as_of=ts, marks=(mark,))


def entries(*messages: Message) -> list[LogEntry]:
    return [LogEntry(seq, subject_of(each), encode(each)) for seq, each in enumerate(messages, 1)]


def performance(folder: Path, log: list[LogEntry], *words: str) -> Result:
    (folder / "log").write_bytes(b"".join(line_of(each) for each in log))
    return CliRunner().invoke(app, ["performance", "--from-file", str(folder / "log"), *words])


@pytest.mark.parametrize(
    ("asset", "amount", "after"), [("USDT", "500", "1500"), ("BTC", "0.01", "1600"), ("USDT", "-400", "600")]
)
def test_money_paid_in_or_out_is_no_return(asset: str, amount: str, after: str) -> None:
    """Coins count at the middle of the book at which they came."""
    log = entries(
        venue(BTC_SPEC),
        price(0, 59_999.5),
        equity(0, "1000"),
        paid(30, asset, amount),
        equity(30, after),
        equity(72, after),
    )
    book = book_in(log)
    assert book is not None
    assert book.daily.returns == pytest.approx([0.0, 0.0, 0.0])


def test_what_was_earned_before_a_deposit_was_earned_with_the_money_there_was() -> None:
    """A tenth on a thousand, and then as much again is paid in: the day's return is a tenth."""
    earned = (equity(0, "1000"), equity(22, "1100"))
    book = book_in(entries(venue(BTC_SPEC), *earned, paid(23, "USDT", "1100"), equity(23, "2200"), equity(24, "2200")))
    assert book is not None
    assert book.daily.returns == pytest.approx([0.1])


def test_coins_that_get_their_price_later_become_a_flow_then() -> None:
    """Until then they are in nobody's equity."""
    log = entries(
        equity(0, "1000"),
        paid(5, "BTC", "0.05"),
        equity(30, "1000"),
        venue(BTC_SPEC),
        price(31, 59_999.5),
        equity(31, "4000"),
    )
    book = book_in(log)
    assert book is not None
    assert book.daily.live_return == pytest.approx(0.0)


def test_a_loss_that_an_operator_accepts_is_a_loss() -> None:
    """Nobody has paid anything out."""
    book = book_in(
        entries(
            venue(BTC_SPEC),
            equity(0, "1000"),
            paid(23, "USDT", "-300", "ACCEPTED"),
            equity(23, "700"),
            equity(24, "700"),
        )
    )
    assert book is not None
    assert book.daily.returns == pytest.approx([-0.3])


def test_every_figure_is_told_apart_by_agent_and_by_hour(tmp_path: Path) -> None:
    """The whole and its parts have the same figures, what is not known yet is null, and the trades of instruments add up."""
    log = list(recorded_log(2))
    whole = json.loads(performance(tmp_path, log, "--json").stdout)
    assert set(TOLD) <= set(whole["metrics"])
    assert whole["trades"] > 0
    assert whole["metrics"]["sharpe"]["value"] is None
    for label in ("agent", "instrument", "regime", "hour"):
        told = json.loads(performance(tmp_path, log, "--by", label, "--json").stdout)
        assert set(TOLD) <= set(next(iter(told["groups"].values())))
        if label != "agent":  # which several may have led
            assert sum(each["trades"] for each in told["groups"].values()) == whole["trades"]
    assert "win rate" in performance(tmp_path, log, "--by", "instrument").stdout


def test_a_book_that_was_never_opened_has_no_performance(tmp_path: Path) -> None:
    """It is said, with an exit code of its own."""
    assert performance(tmp_path, entries(venue(BTC_SPEC))).exit_code == NOT_YET


def test_an_unknown_label_is_refused_with_those_there_are(tmp_path: Path) -> None:
    """Before the log is read."""
    refused = performance(tmp_path, [], "--by", "weather")
    assert refused.exit_code == USAGE
    assert "agent, instrument, regime, hour" in refused.output


def test_trials_of_a_study_are_counted_against_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deflated ratio knows how often was tried; a study of nobody is refused."""
    monkeypatch.setenv("BULKHEAD_HOME", str(tmp_path / "home"))
    from services.cli.research_place import project_database

    log = list(recorded_log(2))
    (tmp_path / "home").mkdir()
    counter = TrialCounter.open(project_database())
    for n in range(3):
        counter.note(
            Trial(
                strategy="mine",
                code_digest="c",
                settings_digest=f"s{n}",
                data_digest="d",
                started_at=n,
                sharpe=0.01 * n,
                observations=40,
                by_whom="a test",
            )
        )
    counter.close()
    answer = performance(tmp_path, log, "--study", "mine", "--json")
    assert answer.exit_code == OK, answer.output
    assert json.loads(answer.stdout)["metrics"]["trials"] == 3
    assert performance(tmp_path, log, "--study", "nobody's").exit_code == USAGE
