"""Incidents on the way back: what the venue says of our orders is lost, doubled, late or overtaken."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.messages import ExecutionReport, UserStreamChanged
from services.exchange_sim.faults import SocketFault
from tests.chaos.execution_stand import BTC, START_PX, ExecutionStand

pytestmark = [pytest.mark.timeout(60), pytest.mark.no_cover]


async def test_a_fill_while_the_user_stream_is_down_is_found(stand: ExecutionStand) -> None:
    """The stream breaks and cannot be had again; the stop fills meanwhile; the account is asked, and the book is flat."""
    await stand.position()
    stand.refuse(503, path="/ws-api/v3", seconds=1.5)
    stand.venue.faults.add(SocketFault(kind="reset", stream="account"))
    await stand.until(lambda: not stand.log.said(UserStreamChanged)[-1].connected, "the stream to be lost")
    stand.price(START_PX * 0.985)
    await stand.until(stand.flat, "the stop to fill")
    await stand.check_books()


async def test_one_lost_frame_of_a_fill_is_found(stand: ExecutionStand) -> None:
    """The stream lives and has lost exactly the frame that mattered: the next reading of the account tells it."""
    await stand.position()
    stand.venue.faults.add(SocketFault(kind="drop", stream="account", times=1))
    stand.price(START_PX * 0.985)
    await stand.until(stand.flat, "the stop to fill")
    await stand.check_books()


async def test_reports_told_twice_are_booked_once(stand: ExecutionStand) -> None:
    """Every frame of entry, stop and exit comes twice, and the entry in many fills."""
    stand.venue.faults.add(SocketFault(kind="duplicate", stream="account", seconds=10))
    stand.price(START_PX, qty=0.002)
    await stand.until(lambda: stand.venue.quote(BTC).ask_qty == 0.002, "a thin book")
    await stand.position("0.03")
    stand.price(START_PX, qty=50)
    await stand.exit("0.03")
    await stand.until(stand.flat, "the exit", 5)
    await stand.check_books(filled={"wish-2": "0.02997"})


async def test_reports_out_of_order_come_to_the_same(stand: ExecutionStand) -> None:
    """Each report is overtaken by the next: FILLED is heard before NEW, a fill before its order."""
    stand.venue.faults.add(SocketFault(kind="hold", stream="account", times=1))
    await stand.position()
    stand.venue.faults.add(SocketFault(kind="hold", stream="account", times=1))
    await stand.exit("0.01")
    await stand.until(stand.flat, "the exit")
    await stand.check_books(filled={"wish-2": "0.00999"})


async def test_fills_race_the_cancel_of_a_resting_entry(stand: ExecutionStand) -> None:
    """A resting entry fills bit by bit while its time runs out: whatever was filled before the cancel is kept and protected."""
    wish = await stand.enter("0.05", ord_type="LIMIT", limit_px=Decimal(str(START_PX * 0.999)), valid_s=0.8)
    await stand.until(lambda: stand.venue.account.open_orders(BTC), "the entry to rest")
    stand.price(START_PX * 0.998, qty=0.001)
    await stand.until(lambda: stand.bought(wish) > 0 and not _entry_rests(stand), "the cancel")
    assert 0 < stand.bought(wish) < stand.wishes[wish].qty
    assert stand.log.said(ExecutionReport)
    await stand.check_books(filled={wish: str(stand.bought(wish))})


async def test_a_cancel_that_comes_too_late_is_a_fill(stand: ExecutionStand) -> None:
    """The stop has filled unheard when an exit wants it away: the venue refuses the cancel, and the exit is not sent."""
    await stand.position()
    stand.deafen(2.0)
    stand.price(START_PX * 0.985)
    await stand.until(stand.flat, "the stop to fill")
    wish = await stand.exit("0.01")
    await stand.check_books(unsent=(wish,))


def _entry_rests(stand: ExecutionStand) -> bool:
    return any(each.side == "BUY" for each in stand.venue.account.open_orders(BTC))
