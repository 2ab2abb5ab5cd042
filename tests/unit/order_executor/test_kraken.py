"""What is particular to Kraken: its settings, its words, its names, and numbers that must grow."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from pathlib import Path

import aiohttp
import pytest

from libs.common.messages import VenueFill
from libs.runtime.settings import SettingsError, load_settings
from services.order_executor.adapters.ccxt_venue import CcxtVenue
from services.order_executor.adapters.classify import Heard
from services.order_executor.adapters.kraken_classify import outcome_of
from services.order_executor.adapters.kraken_frames import OpenOrders, result_of, venue_order
from services.order_executor.adapters.kraken_history import OVERLAP_NS, ReadUpTo, txids_of
from services.order_executor.adapters.kraken_names import asset_of, by_pair, pair_of
from services.order_executor.adapters.kraken_venue import KrakenVenue
from services.order_executor.adapters.kraken_wire import Nonces, Turns
from services.order_executor.adapters.venues import venue_of
from services.order_executor.orders import exec_key
from services.order_executor.refusals import kind_of
from services.order_executor.refusals_kraken import ROWS
from services.order_executor.requests import NEVER_SENT
from services.order_executor.settings import Settings
from services.order_executor.state import State
from tests.unit.order_executor.desk import BTC, policy

SECRET = base64.b64encode(bytes(range(64))).decode()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete environment for Kraken; the folder holds the two secret files."""
    for name, content in (("key", "q7Zx/+" * 9 + "q7"), ("secret", SECRET)):
        (tmp_path / name).write_text(content + "\n")
        (tmp_path / name).chmod(0o600)
    for name, value in {
        "GATE_PUBLIC_KEY": policy().gate_public_key,
        "API_KEY_FILE": str(tmp_path / "key"),
        "API_SECRET_FILE": str(tmp_path / "secret"),
        "VENUE": "kraken",
        "PAIRS": "false",
    }.items():
        monkeypatch.setenv(f"BULKHEAD_EXEC_{name}", value)
    return tmp_path


def test_the_venue_named_in_the_settings_is_traded_at(environment, monkeypatch):
    """Kraken's adapter is made for Kraken, Binance's for the others."""
    assert type(venue_of(load_settings(Settings))) is KrakenVenue
    monkeypatch.setenv("BULKHEAD_EXEC_VENUE", "")
    for name in ("key", "secret"):
        (environment / name).write_text(name[0] * 64)
    assert type(venue_of(load_settings(Settings))) is CcxtVenue


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BULKHEAD_EXEC_PAIRS", "true"),
        ("BULKHEAD_EXEC_RECV_WINDOW_MS", "2000"),
    ],
)
def test_what_kraken_cannot_do_is_refused_by_name(environment, monkeypatch, variable, value):
    """Pairs, and a window too short for a deadline, are refused before anything is called."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings(Settings)


@pytest.mark.parametrize(
    ("file", "variable", "content"),
    [
        ("key", "BULKHEAD_EXEC_API_KEY_FILE", "q7Zx" * 5),
        ("key", "BULKHEAD_EXEC_API_KEY_FILE", "q7Zx " * 12),
        ("secret", "BULKHEAD_EXEC_API_SECRET_FILE", SECRET[:-3]),
        ("secret", "BULKHEAD_EXEC_API_SECRET_FILE", "q7Z_" * 22),
        ("secret", "BULKHEAD_EXEC_API_SECRET_FILE", base64.b64encode(b"sixteen letters.").decode()),
    ],
)
def test_what_kraken_does_not_issue_is_refused_without_being_shown(environment, file, variable, content):
    """A key or secret not in Kraken's form is refused by the name of its variable, and not printed."""
    (environment / file).write_text(content)
    with pytest.raises(SettingsError, match=f"(?s){variable}.*Kraken") as caught:
        load_settings(Settings)
    assert content not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("EOrder:Insufficient funds", "FUNDS"),
        ("EAPI:Invalid key", "KEY"),
        ("EAPI:Invalid signature", "KEY"),
        ("EGeneral:Permission denied", "KEY"),
        ("EAPI:Invalid nonce", "TRANSIENT"),
        ("EAPI:Rate limit exceeded", "TRANSIENT"),
        ("EOrder:Rate limit exceeded", "TRANSIENT"),
        ("EService:Unavailable", "TRANSIENT"),
        ("EGeneral:Temporary lockout", "TRANSIENT"),
        ("EService:Market in post_only mode", "MARKET_CLOSED"),
        ("EService:Market in limit_only mode", "ORDER"),
        ("EQuery:Unknown asset pair", "MARKET_CLOSED"),
        ("EGeneral:Invalid arguments:deadline", "CLOCK"),
        ("EGeneral:Invalid arguments:volume", "ORDER"),
        ("EOrder:Post only order", "WOULD_TAKE"),
        ("EOrder:Unknown order", "ORDER"),
        ("ENew:Words nobody has heard yet", "ORDER"),
        ("PAIRS_NOT_OFFERED", "ORDER"),
    ],
)
def test_krakens_words_are_understood(code, kind):
    """What a refusal of Kraken's is about."""
    assert kind_of(code, "") == kind


def test_no_row_is_hidden_behind_a_more_general_one():
    """Of two rows that fit a string, the longer one stands first."""
    beginnings = [beginning for beginning, _ in ROWS]
    assert [
        (first, later)
        for number, first in enumerate(beginnings)
        for later in beginnings[number + 1 :]
        if later.startswith(first)
    ] == []


def told(*errors: str, status: int = 200, result: str = "{}") -> Heard:
    """A refusal in Kraken's form."""
    listed = ",".join(f'"{each}"' for each in errors)
    return Heard(sent=True, status=status, body=f'{{"error":[{listed}],"result":{result}}}')


@pytest.mark.parametrize(
    ("heard", "verdict", "code"),
    [
        (Heard(), "REJECTED", NEVER_SENT),
        (Heard(sent=True), "UNKNOWN", "NO_ANSWER"),
        (told("EOrder:Insufficient funds"), "REJECTED", "EOrder:Insufficient funds"),
        (told("WGeneral:Deprecated", "EOrder:Invalid price"), "REJECTED", "EOrder:Invalid price"),
        (told("EService:Market in cancel_only mode"), "REJECTED", "EService:Market in cancel_only mode"),
        (told("EService:Timeout"), "UNKNOWN", "EService:Timeout"),
        (told("EDatabase:Internal error"), "UNKNOWN", "EDatabase:Internal error"),
        (told("EOrder:Duplicate cl_ord_id"), "UNKNOWN", "EOrder:Duplicate cl_ord_id"),
        (told("EOrder:Invalid price", result='{"txid":["O"]}'), "UNKNOWN", "BAD_ANSWER"),
        (told("EOrder:Invalid price", status=500), "UNKNOWN", "HTTP_500"),
        (told(), "UNKNOWN", "BAD_ANSWER"),
        (told("E" + "x" * 200), "REJECTED", "E" + "x" * 63),
    ],
)
def test_what_an_answer_proves(heard, verdict, code):
    """A string of Kraken's decides only what it can decide."""
    found = outcome_of(heard, None)
    assert (found.verdict, found.code) == (verdict, code)


def test_a_connection_that_was_never_made_sent_nothing():
    """Whatever the client noted, without a connection nothing has left."""
    error = aiohttp.ClientConnectorError(
        aiohttp.client_reqrep.ConnectionKey("venue", 443, True, True, None, None, None), OSError("refused")
    )
    assert outcome_of(Heard(sent=True), error).code == NEVER_SENT


def test_names_are_krakens_and_ours():
    """Pairs and assets are known by short and long names; what earns is not what can be sold."""
    assert (pair_of("BTC-USDT"), pair_of("ETH-BTC"), pair_of("SOL-USDT")) == ("XBTUSDT", "ETHXBT", "SOLUSDT")
    known = by_pair(["BTC-USDT", "BTC-EUR", "ETH-BTC"])
    for pair in ("XBTUSDT", "XBT/USDT", "BTC/USDT"):
        assert known[pair] == "BTC-USDT"
    assert (known["XXBTZEUR"], known["XBTEUR"], known["XETHXXBT"]) == ("BTC-EUR", "BTC-EUR", "ETH-BTC")
    assert [asset_of(name) for name in ("XXBT", "XBT", "ZUSD", "USDT", "XETH", "XBT.F", "XDG", "ZRX", "XCN")] == [
        "BTC", "BTC", "USD", "USDT", "ETH", "BTC.F", "DOGE", "ZRX", "XCN",
    ]  # fmt: skip


def test_an_order_of_a_kind_that_is_not_ours_does_not_spoil_a_reading():
    """A trailing stop that a person placed is shown without prices; that it rests is what matters."""
    descr = {"pair": "XBTUSDT", "type": "sell", "ordertype": "trailing-stop", "price": "+1.5000%", "price2": "0"}
    raw = {
        "O-1": {"status": "open", "descr": descr, "vol": "1.5", "vol_exec": "0.5", "opentm": 1.25, "cl_ord_id": None}
    }
    found = result_of({"error": [], "result": {"open": raw}}, OpenOrders).open["O-1"]
    order = venue_order("O-1", found, BTC)
    assert (order.ord_status, order.stop_px, order.limit_px, order.cl_ord_id) == ("PARTIALLY_FILLED", None, None, "")
    assert order.ts_event == 1_250_000_000


def test_nonces_grow_even_if_the_clock_does_not():
    """Each is above the last, whatever the clock does."""
    clock = iter([10, 10, 5, 50])
    nonces = Nonces(lambda: next(clock))
    assert [nonces.next() for _ in range(4)] == [10, 11, 12, 50]


async def test_questions_wait_while_an_order_is_under_way():
    """A question is not signed until the last order under way has been answered."""
    turns = Turns()
    waiting = asyncio.ensure_future(turns.quiet())
    await asyncio.wait_for(waiting, 1)
    with turns:
        with turns:
            waiting = asyncio.ensure_future(turns.quiet())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)


async def test_questions_do_not_wait_for_ever(monkeypatch):
    """An order that is never answered holds questions up for a moment only."""
    monkeypatch.setattr("services.order_executor.adapters.kraken_wire.QUIET_S_MAX", 0.01)
    turns = Turns()
    with turns, contextlib.suppress(TimeoutError):
        await asyncio.wait_for(turns.quiet(), 1)


def fill(exec_id: str, ts: int) -> VenueFill:
    """An execution."""
    return VenueFill(
        exec_id=exec_id, cl_ord_id="c", venue_order_id="o", instrument=BTC, side="BUY", qty=1, px=1, commission=0,
        commission_asset="USDT", liquidity_side="TAKER", ts_event=ts,
    )  # fmt: skip


def test_history_is_read_on_from_what_the_machine_remembers():
    """Nothing is proved by telling; only once all of a reading is remembered does the next one begin at its newest."""
    state = State()
    read = ReadUpTo(lambda: state)
    one, two = fill("TA", 5 * OVERLAP_NS), fill("TB", 9 * OVERLAP_NS)
    read.told((two, one))
    assert read.since() == 0
    state.booked[exec_key(two)] = "c"
    assert read.since() == 0, "an older one is still unknown to it"
    state.foreign[exec_key(one)] = "told"
    assert read.since() == 8 * OVERLAP_NS
    read.told(())
    assert read.since() == 8 * OVERLAP_NS


def test_watermarks_of_another_venue_are_no_executions_here():
    """Only what looks like Kraken's is asked for."""
    assert txids_of(["12345", "TKH2SE-M7IF5-CFI7LT", ""]) == ["TKH2SE-M7IF5-CFI7LT"]
