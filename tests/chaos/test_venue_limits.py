"""Incidents in which the venue does not let us in: limits, keys, clocks, names."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.messages import AccountRead, ExecutionReport
from services.exchange_sim.faults import SocketFault
from tests.chaos.execution_stand import START_PX, ExecutionStand, open_stand
from tests.chaos.nursery import Nursery

pytestmark = [pytest.mark.timeout(90), pytest.mark.no_cover]
BAD_KEY = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'


async def test_429_and_then_418_stop_the_questions_and_no_stop(stand: ExecutionStand) -> None:
    """Told to wait, an entry is not sent; banned for a cancel, the exit waits; the stop rests, and afterwards everything goes on."""
    await stand.position()
    stand.refuse(429, path="/api/v3/account", retry_after=1, times=1)
    await stand.until(lambda: not stand.log.said(AccountRead)[-1].ok, "a reading to be refused")
    wish = await stand.enter("0.02", valid_s=0.5)
    await stand.until(lambda: stand.status_of(stand.wishes[wish].cl_ord_id) == "REJECTED", "the entry's end")
    assert stand.covered()
    stand.refuse(418, path="/api/v3/order", method="DELETE", retry_after=2, times=1)
    await stand.exit("0.00999", valid_s=14.0)
    await stand.until(lambda: not stand.venue.faults.shown()["active"], "the ban")
    assert stand.covered()
    await stand.until(stand.flat, "the exit")
    await stand.check_books(unsent=(wish,))


def _revoke(stand: ExecutionStand, seconds: float) -> None:
    stand.refuse(401, BAD_KEY, seconds=seconds)
    stand.refuse(401, path="/ws-api/v3", seconds=seconds)
    stand.venue.faults.add(SocketFault(kind="reset", stream="account"))


async def test_a_revoked_key_opens_nothing_and_loses_nothing(stand: ExecutionStand) -> None:
    """The key is revoked with a position in the book: entries end unsent, the stop fills unseen, a new key finds everything."""
    await stand.position()
    _revoke(stand, 3.0)
    await stand.until(lambda: not stand.log.said(AccountRead)[-1].ok, "a reading to be refused")
    wish = await stand.enter("0.02", valid_s=0.5)
    await stand.until(lambda: stand.log.said(ExecutionReport)[-1].ord_status == "REJECTED", "the entry's end")
    stand.price(START_PX * 0.98)
    await stand.until(stand.flat, "the stop to fill")
    await stand.check_books(unsent=(wish,))


async def test_a_revoked_key_is_told_to_a_person(stand: ExecutionStand) -> None:
    """Nobody can trade: somebody must know."""
    await stand.position()
    _revoke(stand, 4.0)
    await stand.until(lambda: stand.log.alerts, "an alert", 4)
    await stand.check_books()


async def test_a_venue_five_seconds_ahead_is_traded_at(tmp_path: Path, nursery: Nursery) -> None:
    """Our clock is five seconds behind the venue's, which refuses every signed request (-1021) until we correct ourselves."""
    async with open_stand(tmp_path / "home", nursery, ahead_s=5.0) as stand:
        await stand.reconciled(6)
        await stand.position()
        await stand.exit("0.00999")
        await stand.until(stand.flat, "the exit")
        await stand.check_books()


async def test_a_name_that_does_not_resolve_moves_nothing(stand: ExecutionStand) -> None:
    """DNS is out, really: the venue's name does not resolve. Entries are not sent, the exit waits, the stop rests; then all goes on."""
    await stand.position()
    stand.kill()
    port = stand.venue.url.rpartition(":")[2]
    stand.restart(BULKHEAD_EXEC_VENUE_URL=f"http://venue.invalid:{port}")
    await stand.until(lambda: not stand.log.said(AccountRead)[-1].ok, "a reading in vain")
    entry = await stand.enter("0.02", valid_s=0.5)
    exit_ = await stand.exit("0.00999", valid_s=1.0)
    ends = {stand.wishes[each].cl_ord_id for each in (entry, exit_)}
    await stand.until(lambda: ends <= _ended(stand), "the end of both wishes")
    assert stand.covered()
    stand.kill()
    stand.restart()
    await stand.reconciled()
    await stand.exit("0.00999")
    await stand.until(stand.flat, "the exit")
    await stand.check_books(unsent=(entry, exit_))


def _ended(stand: ExecutionStand) -> set[str]:
    closed = ("REJECTED", "EXPIRED", "CANCELED")
    return {each.cl_ord_id for each in stand.log.said(ExecutionReport) if each.ord_status in closed}
