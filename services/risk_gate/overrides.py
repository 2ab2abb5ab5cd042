"""An operator's word against the weekly regime: one side of one instrument, for a while, at a quarter of the risk.

It lets an entry pass `MACRO_COUNTER_TREND` and nothing else: where nobody knows the regime (`MACRO_UNKNOWN`) it is worth nothing. What is
in force is part of the gate's state, so a restart neither ends nor prolongs it. From `valid_until` on it is not in force, whether
or not the timer that says so has gone off. Setting one again replaces it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from libs.common.messages import (
    AlertRaised,
    MacroOverrideChanged,
    MacroOverrideCommanded,
    OrderIntent,
    Side,
    TimerFired,
)
from libs.common.timeframe import DAY, SECOND
from libs.runtime.machine import CancelTimer, Effect, Publish, SetTimer

RISK_SHARE = Decimal("0.25")
"""The most an entry under an override may risk, of what a trade may risk otherwise."""
VALID_FOR_MAX = 7 * DAY
TIMER_PREFIX = "override."
AUTHOR_CHARS_MAX = 64
"""What people say is repeated in our own words, and must not be so long that these cannot be said."""
TEXT_CHARS_MAX = 600


class MacroOverride(msgspec.Struct, kw_only=True):
    """What was allowed, by whom, why and until when (ns); `uses` counts the entries that were approved under it."""

    id: str
    instrument: str
    side: Side
    valid_until: int
    reason: str
    author: str
    uses: int = 0

    @property
    def shown(self) -> str:
        """As verdicts and alerts name it."""
        return f"override {self.id} by {self.author[:AUTHOR_CHARS_MAX]} until {_instant(self.valid_until)}"


class Overrides(msgspec.Struct):
    """Every override that has not been told to have ended, by instrument and side."""

    known: dict[str, MacroOverride] = {}

    def in_force(self, instrument: str, side: Side, now: int) -> MacroOverride | None:
        """The one that allows `side` of `instrument` at `now`, if there is one."""
        found = self.known.get(_key(instrument, side))
        return found if found is not None and now < found.valid_until else None

    def on_command(
        self, event: MacroOverrideCommanded, instruments: tuple[str, ...], heeded: bool, now: int
    ) -> list[Effect]:
        """Take an operator's word; `heeded` says whether the gate listens to the regime at all."""
        if event.command == "REVOKE":
            return self._revoke(event)
        if refusal := _refusal(event, instruments, heeded, now):
            text = f"no override for {event.side} {event.instrument[:64]}, asked for by {_author(event)}: {refusal}"
            return [_alert("MACRO_OVERRIDE_REFUSED", "ticket", text)]
        key = _key(event.instrument, event.side)
        taken = MacroOverride(
            id=event.id,
            instrument=event.instrument,
            side=event.side,
            valid_until=event.valid_until,
            reason=event.reason[:TEXT_CHARS_MAX],
            author=event.author[:AUTHOR_CHARS_MAX],
        )
        before, self.known[key] = self.known.get(key), taken
        replaced = f"; it takes the place of {before.id}" if before is not None else ""
        text = (
            f"{event.side} {event.instrument} may go against the weekly regime at {RISK_SHARE} of the risk: "
            f"{taken.shown}{replaced}: {event.reason}"
        )
        alert = _alert("MACRO_OVERRIDE_SET", "ticket", text, event.instrument)
        return [_changed(taken, "IN_FORCE"), alert, SetTimer(TIMER_PREFIX + key, taken.valid_until)]

    def _revoke(self, event: MacroOverrideCommanded) -> list[Effect]:
        key = _key(event.instrument, event.side)
        ended = self.known.pop(key, None)
        if ended is None:
            text = f"{_author(event)} revokes what is not there: no override for {event.side} {event.instrument[:64]}"
            return [_alert("COMMAND_WITHOUT_EFFECT", "note", text)]
        text = f"{_author(event)} has revoked the {ended.shown}, {_used(ended)}: {event.reason}"
        alert = _alert("MACRO_OVERRIDE_REVOKED", "ticket", text, ended.instrument)
        return [_changed(ended, "REVOKED"), alert, CancelTimer(TIMER_PREFIX + key)]

    def on_timer(self, event: TimerFired, now: int) -> list[Effect]:
        """Say that an override has run out, and how often it was used."""
        key = event.name.removeprefix(TIMER_PREFIX)
        ended = self.known.get(key)
        if ended is None or now < ended.valid_until:
            return []
        del self.known[key]
        text = f"the {ended.shown} has run out for {ended.side} {ended.instrument}, {_used(ended)}"
        return [_changed(ended, "EXPIRED"), _alert("MACRO_OVERRIDE_EXPIRED", "note", text, ended.instrument)]


def used(override: MacroOverride, intent: OrderIntent) -> Effect:
    """An entry was approved under it: count it, and tell people."""
    override.uses += 1
    text = f"{intent.side} {intent.order_qty:f} {intent.instrument} was approved against the regime: {override.shown}"
    return _alert("MACRO_OVERRIDE_USED", "ticket", text, intent.instrument)


def _refusal(event: MacroOverrideCommanded, instruments: tuple[str, ...], heeded: bool, now: int) -> str:
    """What is wrong with the wish; empty if nothing is."""
    if not event.reason.strip() or not event.author.strip():
        return "it needs a reason and an author"
    if not heeded:
        return "this gate does not listen to the weekly regime (BULKHEAD_RISK_MACRO), so there is nothing to override"
    if event.instrument not in instruments:
        return "the instrument is not among those that may be ordered"
    if event.valid_until <= now:
        return f"it would have ended at {_instant(event.valid_until)}, which is past"
    if event.valid_until - now > VALID_FOR_MAX:
        return f"it would last until {_instant(event.valid_until)}, and seven days are the most"
    return ""


def _changed(override: MacroOverride, state: Literal["IN_FORCE", "REVOKED", "EXPIRED"]) -> Publish:
    return Publish(
        MacroOverrideChanged(
            override_id=override.id,
            state=state,
            instrument=override.instrument,
            side=override.side,
            valid_until=override.valid_until,
            reason=override.reason,
            author=override.author,
            uses=override.uses,
        )
    )


def _alert(code: str, severity: Literal["ticket", "note"], text: str, instrument: str = "") -> Publish:
    return Publish(AlertRaised(code=code, severity=severity, text=text[:TEXT_CHARS_MAX], instrument=instrument))


def _used(override: MacroOverride) -> str:
    return "never used" if not override.uses else f"used for {override.uses} entries"


def _author(event: MacroOverrideCommanded) -> str:
    return (event.author or event.producer)[:AUTHOR_CHARS_MAX]


def _instant(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _key(instrument: str, side: Side) -> str:
    return f"{instrument}/{side}"
