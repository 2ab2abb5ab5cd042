"""The conversation: polls Telegram, hears who may speak, answers. What goes wrong on the wire is waited out here; nothing of it stops the desk.

    poll ──▶ admission ──▶ a task for each update that is heard ──▶ question: answers.py; command: dialogue.py ──▶ reply, tried again for a while
      ▲                                                                │
      └── after an update was looked at, and for SETTLE_S_MAX waited for, the next poll confirms it ◀──┘

So an update that a crash has interrupted comes again, and what it says is said once all the same: a press is an order's name. An answer that Telegram
does not take is tried again for `UNSENT_S_MAX`, and then given up: what it would say is in the log, and a later question gets it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from libs.desk.desk import Desk
from libs.desk.refusals import Kind, Refusals
from services.telegram_bot import memory as keeping
from services.telegram_bot.admission import Admission, Why
from services.telegram_bot.answers import Answers
from services.telegram_bot.codes import Codes
from services.telegram_bot.dialogue import Dialogue, Refused
from services.telegram_bot.incoming import Incoming, Reply
from services.telegram_bot.muting import muted
from services.telegram_bot.series import Series
from services.telegram_bot.settings import Settings
from services.telegram_bot.wire import Trouble, Wire
from services.telegram_bot.wishes import ASK, MEANINGS, MUTE, NO, QUESTIONS, TRACE, VIEW, YES, Wish, code_in, wish_in

BACKOFF_S, BACKOFF_S_MAX = 0.25, 15.0
SETTLE_S_MAX = 1.0
UNSENT_S_MAX = 60.0
LAST_WORDS_S_MAX = 2.0
BY_BUTTON = "by button over Telegram"
HINT = "I do not know that. /help says what I know."
BROKEN = "That went wrong here; nothing was said to the log unless /status shows it."

_log = structlog.get_logger(__name__)


class Front:
    """One bot's conversation with everybody."""

    def __init__(self, desk: Desk, settings: Settings, series: Series, refusals: Refusals[int]):
        self._path = Path(settings.home) / "telegram_bot" / "memory.json"
        self._memory = keeping.load(self._path, time.time())
        self._series, self._refusals = series, refusals
        self._wire = Wire(settings, series)
        self._memory.of_bot(self._wire.bot_id)
        self._admission = Admission(settings.users, self._memory.seen, settings.telegram_rate)
        self._desk = desk
        self._answers = Answers(desk)
        self._dialogue = Dialogue(
            desk,
            Codes(settings.seeds, self._memory.marks, self._memory.void_to),
            bot=lambda: self._wire.bot_id,
            rate_dangerous=settings.telegram_rate_dangerous,
            wait_s=settings.telegram_command_wait_s,
            remember=self._remember,
            locked=refusals.report,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        self.trouble = "Telegram has not answered yet"

    async def run(self) -> None:
        """Listen and answer until cancelled; then what is being answered is, for a moment."""
        try:
            self._spawn(self._introduce())
            await self._listen()
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=LAST_WORDS_S_MAX)
            for task in self._tasks:
                task.cancel()
            await self._keep()
            await self._wire.close()

    # --- hearing ----------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        backoff_s = BACKOFF_S
        while True:
            try:
                from_id = self._memory.seen.next_id(time.time())
                updates = await self._wire.updates(
                    from_id, is_quick=bool(self.trouble)
                )  # whether it works is known soon
            except Trouble as trouble:
                self.trouble = str(trouble)
                self._memory.of_bot(self._wire.bot_id)
                _log.warning("telegram_poll_failed", outcome=trouble.slug, again_in_s=max(backoff_s, trouble.wait_s))
                await asyncio.sleep(max(backoff_s, trouble.wait_s))
                backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)
                continue
            self.trouble, backoff_s = "", BACKOFF_S
            self._memory.of_bot(self._wire.bot_id)
            for update in updates:
                self._take(update)
            if updates:
                if self._tasks:
                    await asyncio.wait(self._tasks, timeout=SETTLE_S_MAX)
                await self._keep()

    def _take(self, update: Incoming) -> None:
        refusal = self._admission.refusal_of(update, time.time(), time.monotonic())
        if refusal is None:
            self._spawn(self._answer(update))
            return
        self._turn_away(update, refusal.why)
        if refusal.answer:
            self._spawn(self._deliver(update, Reply(text=refusal.answer)))

    def _turn_away(self, update: Incoming, why: Why) -> None:
        self._series.refused(why)
        self._refusals.note(Kind("telegram", str(update.user or ""), "", why), update.said, f"chat {update.chat}")

    # --- answering --------------------------------------------------------------------------------------------------

    async def _answer(self, update: Incoming) -> None:
        try:
            reply = await self._reply_to(update)
        except Refused as refused:
            self._turn_away(update, refused.why)
            reply = refused.reply
        except Exception:  # noqa: BLE001  whatever one question has met must not end the door for all others; it is told in full
            _log.exception("answer_failed", what=update.said)
            reply = Reply(text=BROKEN)
        await self._deliver(update, reply)

    async def _reply_to(self, update: Incoming) -> Reply:
        role = self._admission.role_of(update.user)
        if role is None:
            raise ValueError("only who is on the list is answered")
        if update.kind == "press":
            return await self._pressed(update)
        if (code := code_in(update.text)) and self._dialogue.waits_for_code(update):
            self._series.heard("code")
            return await self._dialogue.prove(update, code)
        wish = wish_in(update.text)
        if wish is None:
            self._series.heard("unknown")
            return Reply(text=HINT)
        self._series.heard(wish.word)
        if wish.is_command:
            return await self._dialogue.begin(update, wish, role)
        if wish.word == MUTE:
            return await muted(self._desk, update, wish.argument)
        return await self._answers.to(wish.word, wish.argument, role)

    async def _pressed(self, update: Incoming) -> Reply:
        begin, name = update.data[:2], update.data[2:]
        role = self._admission.role_of(update.user) or "read"
        self._series.heard("button")
        if begin == YES and role == "operate":
            return await self._dialogue.confirm(update, name)
        if begin == NO:
            return self._dialogue.decline(update, name)
        if begin == VIEW and name in QUESTIONS:
            return await self._answers.to(name, "", role)
        if begin == TRACE:
            return await self._answers.to("trace", name, role)
        if begin == ASK and name == "halt":
            return await self._dialogue.begin(update, Wish(word="halt", reason=BY_BUTTON), role)
        raise Refused("BAD_CONFIRMATION", Reply(text="Nothing was said: this button is not known here."))

    # --- saying -----------------------------------------------------------------------------------------------------

    async def _deliver(self, update: Incoming, reply: Reply) -> None:
        """Say it. A message that cannot be replaced any more is left, and the answer is sent below it."""
        chat, until = update.chat, time.monotonic() + UNSENT_S_MAX
        if update.kind == "press":
            self._spawn(self._acknowledge(update.query_id))
        if reply.is_instead and update.message_id:
            replaced = await self._stubbornly(lambda: self._wire.replace(chat, update.message_id, reply), until)
            if replaced:
                return
        sent = await self._stubbornly(lambda: self._wire.send(chat, reply), until)
        if sent and reply.picture:
            sent = await self._stubbornly(lambda: self._wire.show(chat, reply.picture), until)
        if not sent:
            self._series.unsent()

    async def _stubbornly(self, act: Any, until: float) -> bool:
        """Whether it was done by `until` (s, monotonic); what Telegram refuses is not tried again."""
        backoff_s = BACKOFF_S
        while True:
            try:
                await act()
            except Trouble as trouble:
                wait_s = max(backoff_s, trouble.wait_s)
                if trouble.slug == "REFUSED" or time.monotonic() + wait_s >= until:
                    _log.warning("telegram_answer_unsent", outcome=trouble.slug)
                    return False
                await asyncio.sleep(wait_s)
                backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)
            else:
                return True

    async def _acknowledge(self, query_id: str) -> None:
        try:
            await self._wire.acknowledge(query_id)
        except Trouble as trouble:  # the button goes on spinning; the answer itself comes all the same
            _log.info("telegram_press_unacknowledged", outcome=trouble.slug)

    async def _introduce(self) -> None:
        try:
            await self._wire.introduce(MEANINGS)
        except Trouble as trouble:
            _log.info("telegram_not_introduced", outcome=trouble.slug)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- remembering ------------------------------------------------------------------------------------------------

    async def _remember(self) -> None:
        """Make the memory durable.

        Raises:
            OSError: it is not.
        """
        async with self._writing:
            await asyncio.to_thread(keeping.save, self._path, msgspec.json.encode(self._memory))

    async def _keep(self) -> None:
        try:
            await self._remember()
        except OSError as error:  # what is lost with it is which updates were seen: they are old when they come again
            _log.warning("memory_not_kept", reason=type(error).__name__)
