"""An operator's word against the weekly regime: authored, expiring, at a quarter of the risk, and told to people."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.codec import BadEvent, decode_from, encode
from libs.common.messages import (
    AlertRaised,
    MacroOverrideChanged,
    MacroOverrideCommanded,
    OperatorCommanded,
    OrderApproved,
    OrderDenied,
    TradingStateChanged,
)
from libs.common.timeframe import DAY, HOUR, SECOND
from libs.runtime.contract import Zone
from libs.runtime.machine import CancelTimer, SetTimer
from libs.runtime.registry import contracts
from services.risk_gate.machine import RiskMachine
from tests.playbook import Playbook, like
from tests.unit.risk_gate.book import (
    BTC,
    ETH,
    NOW,
    D,
    entry,
    equity,
    exit_,
    failed,
    judged,
    mark,
    marks,
    opened,
    position,
)
from tests.unit.risk_gate.test_macro import LISTENING, regimes, short

TIMER = f"override.{BTC}/BUY"


def override(command: str = "SET", **changed: Any) -> MacroOverrideCommanded:
    """Ada lets BTC be bought against the regime for a day."""
    fields: dict[str, Any] = {
        "command": command,
        "instrument": BTC,
        "side": "BUY",
        "valid_until": NOW + DAY,
        "reason": "capitulation",
        "author": "ada",
        "ts_init": NOW,
        "producer": "ops.cli",
    }
    return MacroOverrideCommanded(**{**fields, **changed})


def bear(*events: MacroOverrideCommanded, **changed: Any) -> Playbook:
    """A gate that listens, in a bear market, and then is told these."""
    book = opened(msgspec.structs.replace(LISTENING, **changed)).tell(regimes("BEAR"))
    for event in events:
        book.tell(event)
    return book


def small(intent_id: str = "i1", **changed: Any) -> Any:
    """An entry that loses 24.50 at its stop with fees, where 25 are a quarter of what a trade may risk."""
    return entry(intent_id, order_qty=D("0.018"), stop_px=D(58_758), **changed)


def test_an_override_lets_an_entry_go_against_the_regime() -> None:
    """The verdict says by which one: its id, its author and its end."""
    book = bear()
    assert book.tell(small("i0")).only(OrderDenied).reasons == ("MACRO_COUNTER_TREND",)
    taken = book.tell(override(id="ab" * 16)).only(MacroOverrideChanged)
    assert (taken.state, taken.override_id, taken.author, taken.uses) == ("IN_FORCE", "ab" * 16, "ada", 0)
    approved = book.tell(small("i1")).only(OrderApproved)
    check = next(each for each in approved.checks if each.code == "MACRO_COUNTER_TREND")
    assert check.value == f"BEAR, override {'ab' * 16} by ada until 2025-01-02T00:00:00Z"
    assert check.limit == "not BEAR, or an override at 0.25 of the risk"


def test_people_are_told_when_it_is_set_used_and_over() -> None:
    """Nobody has to read the log to learn that the regime is being overruled, by whom, and how often."""
    book = bear()
    book.tell(override()).expect(
        like(MacroOverrideChanged, state="IN_FORCE"),
        like(AlertRaised, code="MACRO_OVERRIDE_SET", severity="ticket", instrument=BTC),
        SetTimer(TIMER, NOW + DAY),
    )
    book.tell(small()).expect(like(OrderApproved), like(AlertRaised, code="MACRO_OVERRIDE_USED", severity="ticket"))
    book.fire(TIMER).expect(
        like(MacroOverrideChanged, state="EXPIRED", uses=1), like(AlertRaised, code="MACRO_OVERRIDE_EXPIRED")
    )
    assert "used for 1 entries" in book.only(AlertRaised).text
    assert book.machine.state.overrides.known == {}


def test_what_goes_with_the_regime_is_not_under_it() -> None:
    """It costs nothing where it is not needed: full risk, no word about it, no use counted."""
    book = bear(override())
    book.tell(regimes("BULL"))
    book.tell(entry()).expect(like(OrderApproved))
    assert judged(entry(), book.machine.state, LISTENING)["RISK_PER_TRADE"].limit == "100"
    assert book.machine.state.overrides.known[f"{BTC}/BUY"].uses == 0


@pytest.mark.parametrize(("qty", "reasons"), [("0.018", []), ("0.019", ["RISK_PER_TRADE"])])
def test_an_entry_under_it_risks_a_quarter(qty: str, reasons: list[str]) -> None:
    """Of the 100 that a trade may lose otherwise, 25; in the drawdown's first stage, 12.5."""
    seen = bear(override()).machine.state
    wish = entry(order_qty=D(qty), stop_px=D(58_758))
    assert failed(wish, seen, LISTENING) == reasons
    assert judged(wish, seen, LISTENING)["RISK_PER_TRADE"].limit == "25"
    seen.on_equity(equity(drawdown=D("0.05")))
    assert judged(wish, seen, LISTENING)["RISK_PER_TRADE"].limit == "12.5"


def test_it_never_overrides_the_unknown() -> None:
    """Nobody knows the regime, or nobody has said it for eight days: no operator's word stands in for it."""
    book = bear(override()).tell(regimes("UNKNOWN"))
    assert book.tell(small()).only(OrderDenied).reasons == ("MACRO_UNKNOWN",)
    old = bear(override()).tell(regimes("BEAR", end_ts=NOW - 9 * DAY))
    assert old.tell(small("i2")).only(OrderDenied).reasons == ("MACRO_UNKNOWN",)
    assert bear(override()).machine.state.overrides.in_force(BTC, "BUY", NOW) is not None


def test_it_is_for_one_side_of_one_instrument() -> None:
    """Neither the other instrument nor the other side is meant."""
    book = bear(override()).tell(regimes("BEAR", ETH))
    other = entry("e1", instrument=ETH, order_qty=D("0.1"), ref_px=D(3_000), stop_px=D(2_940))
    assert book.tell(other).only(OrderDenied).reasons == ("MACRO_COUNTER_TREND",)
    book.tell(regimes("BULL"))
    assert "MACRO_COUNTER_TREND" in book.tell(short()).only(OrderDenied).reasons


def test_it_ends_at_its_instant_whether_or_not_anybody_says_so() -> None:
    """One nanosecond before it is in force, at its end it is not, though its timer has not gone off."""
    seen = bear(override()).machine.state
    seen.on_marks(marks(mark(ts=NOW + DAY)))
    late = small(valid_until=NOW + 2 * DAY)
    limits = msgspec.structs.replace(LISTENING, reconciled_age_ms_max=10**9)
    assert failed(late, seen, limits, NOW + DAY - 1) == []
    assert failed(late, seen, limits, NOW + DAY) == ["MACRO_COUNTER_TREND"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"reason": " "}, "a reason and an author"),
        ({"author": ""}, "a reason and an author"),
        ({"instrument": "DMG-USDT"}, "not among those"),
        ({"instrument": "BTC.> USDT"}, "not among those"),
        ({"valid_until": NOW}, "which is past"),
        ({"valid_until": NOW + 7 * DAY + 1}, "seven days are the most"),
    ],
)
def test_a_word_that_is_none_is_refused(changed: dict[str, Any], why: str) -> None:
    """Without a reason, an author, an end within a week or an instrument of ours nothing comes into force, and people hear of it."""
    book = bear().tell(override(**changed))
    book.expect(like(AlertRaised, code="MACRO_OVERRIDE_REFUSED", severity="ticket"))
    assert why in book.only(AlertRaised).text
    assert book.machine.state.overrides.known == {}


def test_a_week_is_allowed() -> None:
    """Seven days to the nanosecond."""
    assert bear().tell(override(valid_until=NOW + 7 * DAY)).only(MacroOverrideChanged).state == "IN_FORCE"


def test_a_gate_that_does_not_listen_has_nothing_to_override() -> None:
    """It says so instead of keeping a word that means nothing."""
    assert "BULKHEAD_RISK_MACRO" in opened().tell(override()).only(AlertRaised).text


def test_it_can_be_revoked() -> None:
    """Whoever revokes it: from then on the regime stands again; a second time there is nothing to revoke."""
    book = bear(override())
    book.tell(override("REVOKE", author="bob", reason="enough", valid_until=0)).expect(
        like(MacroOverrideChanged, state="REVOKED", author="ada", uses=0),
        like(AlertRaised, code="MACRO_OVERRIDE_REVOKED"),
        CancelTimer(TIMER),
    )
    assert book.tell(small()).only(OrderDenied).reasons == ("MACRO_COUNTER_TREND",)
    again = book.tell(override("REVOKE", id="cd" * 16))
    assert again.only(AlertRaised).code == "COMMAND_WITHOUT_EFFECT"


def test_a_second_one_takes_the_place_of_the_first() -> None:
    """The newer end counts, and the first one's timer, should it still go off, ends nothing."""
    book = bear(override(id="aa" * 16), override(id="bb" * 16, valid_until=NOW + 2 * DAY))
    assert "takes the place of " + "aa" * 16 in book.only(AlertRaised).text
    assert book.timers == {TIMER: NOW + 2 * DAY}
    book.timers[TIMER] = NOW + DAY
    book.fire(TIMER).expect()
    assert book.machine.state.overrides.known[f"{BTC}/BUY"].id == "bb" * 16


def test_a_restart_neither_ends_nor_prolongs_it() -> None:
    """It is part of the machine's state, with its end and its uses."""
    book = bear(override()).tell(small())
    kept = msgspec.json.decode(msgspec.json.encode(book.machine.state), type=RiskMachine.State)
    found = kept.overrides.in_force(BTC, "BUY", NOW + HOUR)
    assert found is not None
    assert (found.author, found.valid_until, found.uses) == ("ada", NOW + DAY, 1)


def test_exits_never_need_it() -> None:
    """What is held may be sold in any regime, and no use is counted."""
    book = bear(override()).tell(position("0.02")).tell(regimes("BULL"))
    book.tell(exit_()).expect(like(OrderApproved))


@pytest.mark.parametrize("writer", ["agent.llm", "portfolio", "risk", "ops.gateway"])
def test_nobody_speaks_in_an_operators_name(writer: str) -> None:
    """An override on another writer's subject, or one that names another writer, is no event at all."""
    forged = override(id="ee" * 16, ts_event=NOW)
    with pytest.raises(BadEvent):
        decode_from(f"{writer}.override", encode(forged))
    with pytest.raises(BadEvent):
        decode_from("ops.cli.override", encode(msgspec.structs.replace(forged, producer=writer)))


def test_no_reason_is_so_long_that_the_gate_cannot_repeat_it() -> None:
    """What it would append must fit into the log, or the gate ends, again at every start, and nothing is bought or sold."""
    endless = "x" * 470_000
    told = bear(override(reason=endless, author=endless[:100])).only(MacroOverrideChanged)
    assert (len(told.reason), len(told.author)) == (600, 64)
    halted = OperatorCommanded(command="HALT", reason=endless, author="ada" * 1_000, ts_init=NOW, producer="ops.cli")
    moved = opened().tell(halted).only(TradingStateChanged)
    assert (len(moved.reason), len(moved.author)) == (600, 64)


def test_only_an_operators_zone_may_say_it() -> None:
    """By contract the command line and the gateway are its writers; no agent and no service of another zone has it among its words."""
    speakers = {contract.writer: contract.zone for contract in contracts() if MacroOverrideCommanded in contract.says}
    assert speakers == {"ops.cli": Zone.CORE, "ops.gateway": Zone.EDGE}
    assert {contract.service for contract in contracts() if MacroOverrideCommanded in contract.consumes} == {
        "risk-gate"
    }


def test_an_override_that_came_late_is_measured_from_when_it_came() -> None:
    """The gate was away: what has run out meanwhile does not come into force."""
    book = bear()
    book.tell(override(valid_until=NOW + SECOND), now=NOW + 2 * SECOND)
    assert "which is past" in book.only(AlertRaised).text
