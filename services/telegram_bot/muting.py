"""/mute: a person wants to be told less in his own chat for a while. It is asked of the notifier, through the log; pages come all the same."""

from __future__ import annotations

import re

from libs.common.messages import MuteCommanded
from libs.common.timeframe import MINUTE
from libs.desk.commands import NotSaid
from libs.desk.desk import Desk
from libs.desk.saying import day_and_time_of
from services.telegram_bot.incoming import Incoming, Reply

MINUTES_MAX = 24 * 60
USAGE = (
    f"Say for how many minutes (0 to {MINUTES_MAX}): /mute 60, or /mute 60 ticket for tickets as well. /mute 0 ends it."
)
_ASKED = re.compile(r"([0-9]{1,4})(?: (note|ticket)s?)?", re.IGNORECASE)


async def muted(desk: Desk, update: Incoming, asked: str) -> Reply:
    """Say it to the notifier."""
    found = _ASKED.fullmatch(asked)
    minutes = int(found[1]) if found else -1
    if not found or not 0 <= minutes <= MINUTES_MAX:
        return Reply(text=USAGE)
    level, until = (found[2] or "note").lower(), desk.now + minutes * MINUTE
    order = MuteCommanded(
        channel=f"telegram.{update.chat}",
        level="ticket" if level == "ticket" else "note",
        until=until,
        author=f"telegram:{update.user}",
    )
    try:
        seq = await desk.record(order)
    except NotSaid as error:
        return Reply(text=f"Nothing was muted: {error.text}.")
    if not minutes:
        return Reply(text=f"No longer muted (event {seq}).")
    what = "notes and tickets" if level == "ticket" else "notes"
    return Reply(text=f"No {what} here until {day_and_time_of(until)} (event {seq}). Pages come all the same.")
