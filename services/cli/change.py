"""Other code than last time is about to write this log: a copy first, then whether it can read what is there.

    length of the log ─▶ same code as last time? ─▶ backup ─▶ events that this code does not know? ─▶ written down who writes from here on

Run by `bulkhead up` and `bulkhead deploy open` before anything is provisioned, migrated or started, for a step forward and for a step back alike.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
from nats.aio.client import Client

from libs.runtime.rolling import length_of
from services.cli.backup.copying import copy_into
from services.cli.exit_codes import CANNOT_WRITE, CONFIG, UNAVAILABLE, Failure, failing_clearly
from services.cli.observer import observing
from services.cli.place import Place
from services.cli.stack import StackSettings
from services.cli.stretches import (
    FILE,
    RESTORED,
    UNRECORDED,
    Stretch,
    Unknown,
    doubtful_from,
    ours,
    read_stretches,
    unknown_in,
    write_stretches,
)

FOLDER = "backup-before-change"
"""Where the copy goes, in the state folder, if no other place is named."""
SHOWN_MAX = 5
WITHOUT_BACKUP = "BULKHEAD_BACKUP_BEFORE_CHANGE=false"
WITH_UNKNOWN = "BULKHEAD_ACCEPT_UNKNOWN_EVENTS=true"


class ChangeRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a change: where the copy goes (none: into the state folder), and what a person has waived."""

    backup_folder: Path | None = None
    wants_backup: bool = True
    accepts_unknown: bool = False


def change_rules(stack: StackSettings) -> ChangeRules:
    """As the settings say."""
    return ChangeRules(
        backup_folder=stack.backup_folder,
        wants_backup=stack.backup_before_change,
        accepts_unknown=stack.accept_unknown_events,
    )


async def admit_change(client: Client, place: Place, rules: ChangeRules, say: Callable[[str], None]) -> None:
    """Return when this code may write the log: it did so last time, or the log is copied and holds nothing that it does not know.

    Raises:
        Failure: no copy could be made, or there are events that this code does not know; nothing was changed.
    """
    length, stretches = await length_of(client), _remembered(place.home)
    writer = ours(length + 1)
    if length == 0:
        write_stretches(place.home, [writer])
        return
    last = stretches[-1] if stretches else UNRECORDED
    if last.tree == writer.tree:
        return
    say(f"this log was written by {last.name} so far; {writer.name} goes on with it from event {writer.since}")
    if last == RESTORED:
        say("no backup is made before that: the log comes from one")
    elif rules.wants_backup:
        await copy_before(place, rules.backup_folder, f"the change from {last.name} to {writer.name}", say)
    else:
        say(f"no backup is made before that ({WITHOUT_BACKUP})")
    await _refuse_unknown(place, stretches, writer, length, rules, say)
    write_stretches(place.home, [*stretches, writer])


async def copy_before(place: Place, folder: Path | None, what: str, say: Callable[[str], None]) -> None:
    """The log up to its end is in the backup.

    Raises:
        Failure: it is not; `what` must not happen.
    """
    target = folder or place.home / FOLDER
    try:
        with failing_clearly():
            made = await copy_into(place, target)
    except Failure as failure:
        cure = f"{failure.cure}; or go on without a backup: {WITHOUT_BACKUP}"
        raise Failure(CANNOT_WRITE, f"no backup could be made before {what}: {failure.text}", cure) from failure
    say(f"backup before {what}: {made.folder} holds the log up to event {made.last_seq}")


async def _refuse_unknown(
    place: Place, stretches: list[Stretch], writer: Stretch, length: int, rules: ChangeRules, say: Callable[[str], None]
) -> None:
    begin = doubtful_from(stretches, writer.types)
    if not begin or begin > length:
        return
    async with observing(place) as observer, aclosing(observer.entries(begin, length)) as entries:  # type: ignore[type-var]
        found = await unknown_in(entries, writer.types)
    if not found:
        return
    text = f"the log holds events that this code ({writer.name}) does not know: {_shown(found)}"
    if rules.accepts_unknown:
        say(f"{text}; machines will refuse each of them and go on without it ({WITH_UNKNOWN})")
        return
    cure = f"start the release that wrote them, or go back to the backup from before them: docs/ROLLBACK.md; {WITH_UNKNOWN} goes on blindly"
    raise Failure(CONFIG, text, cure)


def _shown(found: dict[str, Unknown]) -> str:
    shown = [f"{name} ({each.count}, the first is event {each.first_seq})" for name, each in sorted(found.items())]
    more = f" and {len(shown) - SHOWN_MAX} more types" if len(shown) > SHOWN_MAX else ""
    return ", ".join(shown[:SHOWN_MAX]) + more


def _remembered(home: Path) -> list[Stretch]:
    try:
        return read_stretches(home)
    except (OSError, msgspec.MsgspecError) as error:
        text = f"{home / FILE} cannot be read: {error}"
        raise Failure(UNAVAILABLE, text, "delete it: the whole log is looked through once instead") from error
