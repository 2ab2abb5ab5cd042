"""Answers to questions: what the desk knows, in words (words.py), with the buttons one presses next."""

from __future__ import annotations

import asyncio

from libs.desk.desk import Desk
from libs.desk.index import Wanted
from libs.desk.status import Status
from libs.desk.story_search import Ambiguous, NothingCalled
from libs.desk.story_target import LATEST
from libs.desk.verdicts import newest_verdicts
from libs.runtime.bus import BusError
from services.telegram_bot import words
from services.telegram_bot.admission import Role
from services.telegram_bot.chart import equity_chart
from services.telegram_bot.incoming import Button, Reply, Rows
from services.telegram_bot.wishes import ASK, MEANINGS, TRACE, VIEW

DATA_BYTES_MAX = 64
WHYS_MAX = 6
VERDICTS_LOOK_BACK = 200
TRACED_CHARS_MAX = 128
_LOOK = (
    (Button("Positions", f"{VIEW}positions"), Button("Orders", f"{VIEW}orders"), Button("PnL", f"{VIEW}pnl")),
    (Button("Risk", f"{VIEW}risk"), Button("Health", f"{VIEW}health"), Button("Alerts", f"{VIEW}alerts")),
)
_BACK = ((Button("Status", f"{VIEW}status"), Button("Positions", f"{VIEW}positions")),)


class Answers:
    """Asks one desk."""

    def __init__(self, desk: Desk):
        self._desk = desk

    @property
    def status(self) -> Status:
        """How things stand now."""
        return self._desk.status()

    async def to(self, question: str, argument: str, role: Role) -> Reply:
        """The answer to one of QUESTIONS."""
        view, phase = self._desk.view, self._desk.phase
        match question:
            case "status":
                halt = ((Button("Halt…", f"{ASK}halt"),),) if role == "operate" else ()
                return Reply(text=words.status_text(self.status, phase), buttons=(*_LOOK, *halt))
            case "positions":
                return Reply(text=words.positions_text(view, phase), buttons=(*self._whys(), *_BACK))
            case "orders":
                return Reply(text=words.orders_text(view, phase), buttons=_BACK)
            case "pnl":
                return await self._pnl()
            case "risk":
                rows = await self._desk.page(Wanted(roles=("verdict",)), VERDICTS_LOOK_BACK)
                verdicts = newest_verdicts([entry for row in reversed(rows) if (entry := row.entry) is not None])
                return Reply(text=words.risk_text(view, self.status, phase, verdicts), buttons=_BACK)
            case "health":
                return Reply(text=words.health_text(self.status, phase), buttons=_BACK)
            case "alerts":
                return Reply(text=words.alerts_text(view, phase), buttons=_BACK)
            case "trace":
                return await self._story(argument or LATEST)
        return Reply(text=words.help_text(MEANINGS, role))

    async def _pnl(self) -> Reply:
        view = self._desk.view
        title = f"{view.standing.facts.book or 'book'}: equity and drawdown"
        now = [] if view.equity is None else [(view.equity.ts_event, float(view.equity.equity))]
        picture = await asyncio.to_thread(equity_chart, [*view.curve, *now], title)
        newest = view.fills[0] if view.fills else None
        why = _why(f"Why {newest.side} {newest.instrument}", newest.trace) if newest is not None else ()
        text = words.pnl_text(view, self.status, self._desk.phase)
        return Reply(text=text, buttons=(*why, *_BACK), picture=picture)

    async def _story(self, wanted: str) -> Reply:
        wanted = wanted[:TRACED_CHARS_MAX]
        try:
            return Reply(text=words.story_lines(await self._desk.story(wanted)), buttons=_BACK)
        except Ambiguous as error:
            return Reply(text=words.choices_text(wanted, [each.key for each in error.targets]))
        except NothingCalled as error:
            return Reply(text=words.fitted([str(error)], "bulkhead trace latest"))
        except BusError:
            return Reply(text="The bus does not answer, and a part of this story stands in the log only: try again.")

    def _whys(self) -> Rows:
        lines = self._desk.view.position_lines[:WHYS_MAX]
        return tuple(row for each in lines for row in _why(f"Why {each.instrument}", each.trace))


def _why(text: str, trace: str) -> Rows:
    """A button that tells the story of `trace`, where its name fits into a button."""
    data = f"{TRACE}{trace}"
    return ((Button(text, data),),) if len(data.encode()) <= DATA_BYTES_MAX else ()
