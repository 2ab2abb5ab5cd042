"""Commands over Telegram: asked for, confirmed, proven, said; each step can be refused, and then nothing was said.

    /halt REASON ──▶ may he? ──▶ question with two buttons ──Yes──▶ is it as it was? ──▶ said to the log under the press's own name ──▶ what came of it
    /resume [CODE] REASON  ...  the same, and a one-time code: with the command, or asked for after Yes

HALT depends on nothing but the trading state and wants one press. The others are void as soon as what they were about has changed; the question
is then put again, with what has changed.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog

from libs.desk.commands import NotSaid, Order, Outcome, Word
from libs.desk.desk import Desk
from libs.desk.voice import AlreadySaid
from libs.runtime.bus import BusError
from services.telegram_bot.admission import Role, Why
from services.telegram_bot.allowances import Allowance
from services.telegram_bot.codes import LOCKED_S, WRONG_MAX, Codes
from services.telegram_bot.confirmations import VALID_S, Confirmation, Confirmations, NotConfirmed, Shown
from services.telegram_bot.incoming import Button, Incoming, Reply
from services.telegram_bot.wishes import DANGEROUS, NO, YES, Wish

HALT_REASON = "said over Telegram without a reason"
_WORDS: dict[str, Word] = {
    "halt": "HALT",
    "reduce": "REDUCE",
    "resume": "RESUME",
    "flatten": "FLATTEN",
    "cancel": "CANCEL",
}
_log = structlog.get_logger(__name__)


class Refused(Exception):
    """Nothing was said; `why` goes on record, `reply` to whoever asked."""

    def __init__(self, why: Why, reply: Reply):
        super().__init__(why)
        self.why, self.reply = why, reply


class Dialogue:
    """What people command through one desk.

    `remember` makes used codes durable before anything rests on them, and raises OSError where it cannot; `locked` is told who is locked out.
    """

    def __init__(
        self,
        desk: Desk,
        codes: Codes,
        *,
        bot: Callable[[], int],
        rate_dangerous: int,
        wait_s: float,
        remember: Callable[[], Awaitable[None]],
        locked: Callable[[int], None],
        confirmations: Confirmations | None = None,
    ):
        self._desk = desk
        self._codes = codes
        self._bot = bot
        self._wait_s = wait_s
        self._remember = remember
        self._locked = locked
        self._dangerous = Allowance(rate_dangerous)
        self._confirmations = confirmations or Confirmations()

    # --- asking -----------------------------------------------------------------------------------------------------

    async def begin(self, update: Incoming, wish: Wish, role: Role) -> Reply:
        """Put the question.

        Raises:
            Refused
        """
        if role != "operate":
            raise Refused("ROLE", Reply(text=f"You may look, not command: /{wish.word} was not said."))
        if wish.word == "halt" and not wish.reason:
            wish = Wish(word="halt", reason=HALT_REASON)
        if not wish.reason:
            return Reply(text=f"Say why: /{wish.word} REASON. The reason stands in the log for ever.")
        if wish.order:
            found = [each for each in self._desk.view.open_orders if each.cl_ord_id.startswith(wish.order)]
            if len(found) != 1:
                text = f"{len(found)} open orders begin with {wish.order}: /orders shows what rests. Nothing was said."
                return Reply(text=text)
            wish = Wish(word=wish.word, reason=wish.reason, order=found[0].cl_ord_id)
        is_proven = wish.word not in DANGEROUS
        if not is_proven:
            self._check_danger(update.user)
            if wish.code:
                await self._check_code(update.user, wish.code)
                is_proven = True
        return self._ask(update, wish, is_proven=is_proven)

    def _ask(self, update: Incoming, wish: Wish, *, is_proven: bool, changes: tuple[str, ...] = ()) -> Reply:
        wish = Wish(word=wish.word, reason=wish.reason, order=wish.order)  # without the code: it is used up
        shown, now = self._shown(wish.word), time.monotonic()
        asked = self._confirmations.ask(wish, update.user, update.chat, shown, now, is_proven=is_proven)
        lines = ["Meanwhile it has changed:", *changes, "", "Still?"] if changes else []
        lines += [*_question(wish, shown), f"Valid for {VALID_S:.0f} s, once."]
        buttons = ((Button(f"Yes, {_WORDS[wish.word]}", YES + asked.name), Button("No", NO + asked.name)),)
        return Reply(text="\n".join(lines), buttons=buttons, is_instead=bool(changes) and update.kind == "press")

    def _shown(self, word: str) -> Shown:
        """What the command depends on. A halt is right whatever is held; so is a reduction."""
        view = self._desk.view
        trading = view.standing.facts.trading_state
        held = {name: each.signed_qty for name, each in view.positions.items() if each.signed_qty}
        match word:
            case "halt" | "reduce":
                return Shown(trading=trading)
            case "cancel":
                entries = tuple(sorted(each.cl_ord_id for each in view.open_orders if each.role == "ENTRY"))
                return Shown(trading=trading, resting=entries)
        return Shown(trading=trading, held=held)

    # --- answers ----------------------------------------------------------------------------------------------------

    async def confirm(self, update: Incoming, name: str) -> Reply:
        """Somebody has pressed Yes.

        Raises:
            Refused
        """
        now = time.monotonic()
        try:
            found = self._confirmations.press(name, update.user, update.chat, update.query_id, now)
        except NotConfirmed as error:
            seq = self._desk.seq_of(self._name_of(update.query_id))
            text = (
                f"That was said before (event {seq}), and was not said again." if seq else f"Nothing was said: {error}."
            )
            raise Refused("BAD_CONFIRMATION", Reply(text=text)) from None
        self._check_unchanged(update, found)
        if not found.is_proven:
            self._confirmations.await_code(found, now)
            text = f"{_WORDS[found.wish.word]}: now send the six digits of your authenticator, within {VALID_S:.0f} s."
            return Reply(text=text, is_instead=True)
        return await self._say(found, is_instead=True)

    def decline(self, update: Incoming, name: str) -> Reply:
        """Somebody has pressed No.

        Raises:
            Refused
        """
        try:
            found = self._confirmations.drop(name, update.user, update.chat, time.monotonic())
        except NotConfirmed as error:
            raise Refused("BAD_CONFIRMATION", Reply(text=f"Nothing was said: {error}.")) from None
        return Reply(text=f"{_WORDS[found.wish.word]} was not said.", is_instead=True)

    def waits_for_code(self, update: Incoming) -> bool:
        """Whether six digits of this user's mean something now."""
        return self._confirmations.waiting_for_code(update.user, update.chat, time.monotonic()) is not None

    async def prove(self, update: Incoming, code: str) -> Reply:
        """Somebody has sent his code for what he has confirmed.

        Raises:
            Refused
        """
        found = self._confirmations.waiting_for_code(update.user, update.chat, time.monotonic())
        if found is None:
            return Reply(text="No code is waited for.")
        await self._check_code(update.user, code)
        if found.stage != "CODE":  # another one was asked, or this one said, while the code was written down
            raise Refused("BAD_CONFIRMATION", Reply(text="Nothing was said: this question is void."))
        found.stage = "DONE"
        found.is_proven = True
        self._check_unchanged(update, found)
        return await self._say(found, is_instead=False)

    # --- what may stand in the way --------------------------------------------------------------------------------------

    def _check_unchanged(self, update: Incoming, found: Confirmation) -> None:
        changes = found.shown.changes(self._shown(found.wish.word))
        if changes:
            found.stage = "DROPPED"
            again = self._ask(update, found.wish, is_proven=found.is_proven, changes=tuple(changes))
            raise Refused("STATE_CHANGED", again)

    def _check_danger(self, user: int) -> None:
        if wait_s := self._dangerous.spend(user, time.monotonic()):
            raise Refused("RATE", Reply(text=f"Too many such commands: again in {int(wait_s) + 1} s."))
        if not self._codes.has_seed(user):
            text = "This needs a one-time code, and there is no seed of yours here: use the command line."
            raise Refused("NO_CODE", Reply(text=text))
        if self._codes.locked_s(user, time.time()):
            raise Refused("CODE_LOCKED", Reply(text=self._locked_text(user)))

    async def _check_code(self, user: int, code: str) -> None:
        """Raises: Refused unless the code is good, and is known to be used from now on."""
        was_locked = self._codes.locked_s(user, time.time()) > 0
        verdict = self._codes.judge(user, code, time.time())
        try:
            await self._remember()
        except OSError as error:
            _log.error("codes_not_kept", reason=type(error).__name__)
            text = "Nothing was said: the state folder cannot be written, so a code could be used twice."
            raise Refused("BAD_CODE", Reply(text=text)) from None
        match verdict:
            case "GOOD":
                return
            case "CODE_LOCKED":
                if not was_locked:
                    self._locked(user)
                text = self._locked_text(user)
            case "USED_CODE":
                text = "This code was used already: wait for the next one."
            case _:
                text = f"This is not the code of this moment. {WRONG_MAX} wrong ones in a row lock these commands."
        raise Refused(verdict, Reply(text=f"Nothing was said. {text}"))

    def _locked_text(self, user: int) -> str:
        left_s = self._codes.locked_s(user, time.time())
        return f"Too many wrong codes: locked for {left_s / 60:.0f} of {LOCKED_S / 60:.0f} minutes. /halt works."

    # --- saying -----------------------------------------------------------------------------------------------------

    def _name_of(self, query_id: str) -> str:
        """How an order is named that a press has confirmed."""
        return f"telegram:{self._bot()}:{query_id}"

    async def _say(self, found: Confirmation, *, is_instead: bool) -> Reply:
        wish, word = found.wish, _WORDS[found.wish.word]
        order = Order(word=word, reason=wish.reason, author=f"telegram:{found.user}", cl_ord_id=wish.order)
        try:
            outcome = await self._desk.order(order, self._name_of(found.query_id), self._wait_s)
        except NotSaid as error:
            _log.warning("command_not_said", word=word, reason=error.text)
            return Reply(
                text=f"{word} is not known to be said: {error.text}. {_sentence(error.cure)}", is_instead=is_instead
            )
        except AlreadySaid as error:
            return Reply(text=f"{word} was not said: {error}.", is_instead=is_instead)
        except BusError:
            text = f"{word}: what came of it is not known, the bus does not answer. Look at /status; saying it again does no harm."
            return Reply(text=text, is_instead=is_instead)
        _log.info("command_said", word=word, user=found.user, seq=outcome.seq, changed=outcome.changed)
        return Reply(text=_outcome_text(word, outcome), is_instead=is_instead)


def _question(wish: Wish, shown: Shown) -> list[str]:
    word = _WORDS[wish.word]
    what = {
        "halt": "no new entries, resting ones are taken back; stops and exits stay",
        "reduce": "only what makes less risk from now on",
        "resume": "trade again",
        "flatten": "sell everything that is held, and halt",
        "cancel": f"take back order {wish.order}"
        if wish.order
        else f"take back all {len(shown.resting)} resting entries",
    }[wish.word]
    held = [f"{name}: {qty.normalize():f}" for name, qty in sorted(shown.held.items())]
    lines = [f"{word}? {what}.", f"reason: {wish.reason}", f"trading is {shown.trading} now"]
    if wish.word in DANGEROUS:
        lines += held[:20] or ["nothing is held"]
        lines += [f"and {len(held) - 20} more"] if len(held) > 20 else []
    return lines


def _outcome_text(word: str, outcome: Outcome) -> str:
    repeated = " It had been said before, and was not said again." if outcome.repeated else ""
    answer = f", answered by event {outcome.answer_seq}" if outcome.answered else ""
    mark = "" if outcome.changed else "nothing has changed yet: " if not outcome.answered else "nothing has changed: "
    return f"{word}: {mark}{outcome.text} (event {outcome.seq}{answer}).{repeated}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
