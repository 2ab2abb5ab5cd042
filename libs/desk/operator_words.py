"""What operators order, and what the gate makes of it, as a story says it; who was turned away at a door; and what is known of backups."""

from __future__ import annotations

from libs.common.messages import (
    AccessRefused,
    BackupMade,
    BookRestored,
    CancelCommanded,
    EpochBegan,
    FlattenCommanded,
    FlattenOrdered,
    GenesisDeclared,
    LiveUnlocked,
    MacroOverrideChanged,
    MacroOverrideCommanded,
    MuteCommanded,
    OperatorCommanded,
    RestoreProven,
    TradingStateChanged,
)
from libs.desk.saying import Details, day_and_time_of, said


@said.register
def _(message: OperatorCommanded, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.author} says {message.command}: {message.reason}", ()


@said.register
def _(message: MacroOverrideCommanded, instruments: tuple[str, ...]) -> tuple[str, Details]:
    what = f"{message.side} {message.instrument}"
    if message.command == "REVOKE":
        return f"{message.author} revokes the override for {what}: {message.reason}", ()
    until = day_and_time_of(message.valid_until)
    return f"{message.author} lets {what} go against the weekly regime until {until}: {message.reason}", ()


@said.register
def _(message: MacroOverrideChanged, instruments: tuple[str, ...]) -> tuple[str, Details]:
    headline = f"the override for {message.side} {message.instrument} is {message.state}"
    lines = [f"override {message.override_id} by {message.author} until {day_and_time_of(message.valid_until)}"]
    return headline, [*lines, f"entries approved under it: {message.uses}"]


@said.register
def _(message: GenesisDeclared, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"the book {message.book} begins ({message.mode})", ()


@said.register
def _(message: LiveUnlocked, instruments: tuple[str, ...]) -> tuple[str, Details]:
    headline = f"the book {message.book} may trade for real: {message.paper_days} days of paper trading count"
    if message.grounds == "OVERRIDE":
        headline = f"{message.operator} lets the book {message.book} trade for real: {message.reason}"
    until = day_and_time_of(message.expires_at)
    return headline, [
        *(f"not shown: {line}" for line in message.unmet),
        f"certificate {message.certificate} to {until}",
    ]


@said.register
def _(message: FlattenOrdered, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"everything is to be sold: {message.reason}", [f"ordered by {message.author}"]


@said.register
def _(message: TradingStateChanged, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"trading is {message.state} (was {message.previous}): {message.reason}", [f"by {message.author}"]


@said.register
def _(message: FlattenCommanded, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.author} says FLATTEN: {message.reason}", ()


@said.register
def _(message: CancelCommanded, instruments: tuple[str, ...]) -> tuple[str, Details]:
    what = f"order {message.cl_ord_id}" if message.cl_ord_id else "every resting entry"
    return f"{message.author} takes back {what}: {message.reason}", ()


@said.register
def _(message: MuteCommanded, instruments: tuple[str, ...]) -> tuple[str, Details]:
    what = "notes and tickets" if message.level == "ticket" else "notes"
    return f"{message.author} wants no {what} by {message.channel} until {day_and_time_of(message.until)}", ()


@said.register
def _(message: AccessRefused, instruments: tuple[str, ...]) -> tuple[str, Details]:
    who = message.who or "somebody unknown"
    times = "" if message.count == 1 else f", {message.count} times"
    headline = f"{who} was turned away at the {message.door} door: {message.why}{times}"
    return headline, [f"wanted {message.what}" + (f", from {message.address}" if message.address else "")]


@said.register
def _(message: BackupMade, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.author} has a backup of the log up to {message.last_seq}", [f"head {message.head}"]


@said.register
def _(message: RestoreProven, instruments: tuple[str, ...]) -> tuple[str, Details]:
    headline = (
        f"a backup brought the log back up to {message.last_seq}, and it was proven, in {message.took_ms / 1000:.1f} s"
    )
    return headline, [f"head {message.head}", f"by {message.author}"]


@said.register
def _(message: BookRestored, instruments: tuple[str, ...]) -> tuple[str, Details]:
    made, restored = day_and_time_of(message.backup_made_at), day_and_time_of(message.restored_at)
    headline = f"{message.author} has restored the log up to {message.last_seq} from a backup of {made}"
    return headline, [
        f"restored {restored}; what had happened in between is known to the venue alone",
        f"head {message.head}",
    ]


@said.register
def _(message: EpochBegan, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return f"{message.author} has the log go on in {message.epoch}", [
        f"{message.closed} ends at {message.last_seq}, and is sealed"
    ]
