"""Who talks to the bot and what it has sent: chats, messages with their buttons, updates that the bot has not confirmed.

An update is delivered again until the bot asks for a later one (`offset`); below the offset it is forgotten. `repeat` brings a forgotten
one back as it was, with its old number, as an attacker with a recording or a confused server would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

BOT_USERNAME = "bulkhead_sim_bot"
KEPT_MAX = 10_000
SUPERGROUPS_BELOW = -1_000_000_000_000
WAIT_S = 10.0


class Photo(msgspec.Struct, frozen=True):
    """What arrived as a picture: its size in bytes, and whether it begins as a PNG does, with its width and height then (else 0)."""

    size: int
    is_png: bool
    width: int
    height: int


class Sent(msgspec.Struct, kw_only=True):
    """A message of the bot's as it stands now; `at` is when it arrived (s, monotonic), `edits` how often it was changed since."""

    message_id: int
    chat: int
    text: str
    at: float
    buttons: list[list[dict[str, Any]]] = []
    photo: Photo | None = None
    parse_mode: str = ""
    edits: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot said to whoever pressed a button."""

    query_id: str
    text: str
    is_alert: bool


def photo_of(raw: bytes) -> Photo:
    """What a picture's first bytes say of it."""
    is_png = raw[:8] == b"\x89PNG\r\n\x1a\n" and raw[12:16] == b"IHDR"
    width, height = (int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])) if is_png else (0, 0)
    return Photo(size=len(raw), is_png=is_png, width=width, height=height)


class Chats:
    """Everything the bot and its people have said; each change wakes who waits for one (`until`)."""

    def __init__(self, bot_id: int, open_chats: tuple[int, ...] = ()):
        self.bot_id = bot_id
        self.known = set(open_chats)
        self.blocked: set[int] = set()
        self.sent: list[Sent] = []
        self.answered: list[Answered] = []
        self.pending: list[dict[str, Any]] = []
        self._again: list[dict[str, Any]] = []
        self._updates: dict[int, dict[str, Any]] = {}
        self._queries: set[str] = set()
        self._message_id = 0
        self._update_id = 700_000_000
        self._changed = asyncio.Event()

    # --- people -----------------------------------------------------------------------------------------------------

    def say(
        self,
        user: int,
        text: str,
        *,
        chat: int = 0,
        forwarded: int = 0,
        date: int = 0,
        is_edited: bool = False,
        is_bot: bool = False,
    ) -> int:
        """Somebody writes to the bot; returns the update's id.

        `chat` 0 is the user's private chat, a negative one a group; `forwarded` is the user whose message it was (0: his own); `date` in Unix
        seconds (0: now).
        """
        chat = chat or user
        self.known.add(chat)
        message = self._message(chat, text, date, sender=_person(user, is_bot=is_bot))
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        if forwarded:
            origin = {"type": "user", "sender_user": _person(forwarded), "date": message["date"] - 60}
            message["forward_origin"] = origin
        if is_edited:
            message["edit_date"] = message["date"]
        return self._tell("edited_message" if is_edited else "message", message)

    def press(self, user: int, button: str, *, chat: int = 0, message_id: int = 0, forged: str = "") -> int:
        """Somebody presses a button, named by its text or its data; returns the update's id.

        Without `message_id` it is the latest message of the chat that has such a button. `forged` is sent as the button's data instead of its
        own, which a changed client can do.

        Raises:
            LookupError: there is no such button.
        """
        chat = chat or user
        for sent in reversed(self.sent):
            if sent.chat != chat or message_id not in (0, sent.message_id):
                continue
            for each in (each for row in sent.buttons for each in row):
                if button in (each.get("text"), each.get("callback_data")):
                    return self._pressed(user, sent, forged or str(each.get("callback_data", "")))
        raise LookupError(f"chat {chat} shows no button {button!r}")

    def repeat(self, update_id: int) -> None:
        """Deliver an update once more, whatever the bot has confirmed.

        Raises:
            LookupError: there never was one with this id.
        """
        if update_id not in self._updates:
            raise LookupError(f"there was no update {update_id}")
        self._again.append(self._updates[update_id])
        self.wake()

    def _pressed(self, user: int, sent: Sent, data: str) -> int:
        query_id = str(self._update_id * 1_000 + 1)
        self._queries.add(query_id)
        query = {"id": query_id, "from": _person(user), "chat_instance": "1", "data": data}
        return self._tell("callback_query", {**query, "message": self.shown(sent)})

    def _tell(self, kind: str, what: dict[str, Any]) -> int:
        self._update_id += 1
        update = {"update_id": self._update_id, kind: what}
        self._updates[self._update_id] = update
        self.pending.append(update)
        self.wake()
        return self._update_id

    # --- the bot ----------------------------------------------------------------------------------------------------

    def take_updates(self, offset: int, limit: int, kinds: list[str]) -> list[dict[str, Any]]:
        """What is to be delivered now. Below `offset` it is forgotten (a negative one counts from the end); what is of no kind in `kinds`, too."""
        if offset < 0:
            self.pending = self.pending[offset:]
        elif offset:
            self.pending = [each for each in self.pending if each["update_id"] >= offset]
        if kinds:
            self.pending = [each for each in self.pending if not set(kinds).isdisjoint(each)]
        again, self._again = self._again, []
        return (again + self.pending)[:limit]

    def add_sent(self, chat: int, text: str, buttons: list[Any], photo: Photo | None, parse_mode: str) -> Sent:
        """The bot has sent a message."""
        self._message_id += 1
        sent = Sent(message_id=self._message_id, chat=chat, text=text, at=time.monotonic(), buttons=buttons)
        sent.photo, sent.parse_mode = photo, parse_mode
        self.sent.append(sent)
        del self.sent[:-KEPT_MAX]
        return sent

    def find_sent(self, chat: int, message_id: int) -> Sent | None:
        """A message of the bot's."""
        return next((each for each in self.sent if (each.chat, each.message_id) == (chat, message_id)), None)

    def answer(self, query_id: str, text: str, *, is_alert: bool) -> bool:
        """The bot answers whoever pressed a button; False: nobody is waiting for that."""
        if query_id not in self._queries:
            return False
        self._queries.discard(query_id)
        self.answered.append(Answered(query_id=query_id, text=text, is_alert=is_alert))
        return True

    def shown(self, sent: Sent) -> dict[str, Any]:
        """A message of the bot's as Telegram tells it."""
        message = self._message(sent.chat, "", 0, sender=self.bot())
        message["message_id"] = sent.message_id
        if sent.photo is None:
            message["text"] = sent.text
        else:
            size = {"width": sent.photo.width, "height": sent.photo.height, "file_size": sent.photo.size}
            message["photo"] = [{"file_id": f"p{sent.message_id}", "file_unique_id": f"u{sent.message_id}", **size}]
            message["caption"] = sent.text
        if sent.buttons:
            message["reply_markup"] = {"inline_keyboard": sent.buttons}
        if sent.edits:
            message["edit_date"] = message["date"]
        return message

    def bot(self) -> dict[str, Any]:
        """Who the bot is."""
        return {"id": self.bot_id, "is_bot": True, "first_name": "Bulkhead", "username": BOT_USERNAME}

    def chat(self, chat: int) -> dict[str, Any]:
        """A chat as Telegram tells it."""
        if chat > 0:
            person = _person(chat)
            return {"id": chat, "type": "private", "first_name": person["first_name"]}
        return {
            "id": chat,
            "type": "supergroup" if chat < SUPERGROUPS_BELOW else "group",
            "title": f"group {chat}",
        }

    def _message(self, chat: int, text: str, date: int, sender: dict[str, Any]) -> dict[str, Any]:
        if text:
            self._message_id += 1
        told = {"message_id": self._message_id, "date": date or int(time.time()), "from": sender}
        return {**told, "chat": self.chat(chat), **({"text": text} if text else {})}

    # --- waiting ----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, wait_s: float) -> bool:
        """Whether anything has changed within `wait_s`."""
        try:
            await asyncio.wait_for(self._changed.wait(), wait_s)
        except TimeoutError:
            return False
        return True

    async def until(self, is_so: Callable[[], bool], wait_s: float = WAIT_S) -> None:
        """Wait until `is_so`, looked at whenever something changes.

        Raises:
            TimeoutError: it was not so within `wait_s`; what was sent so far is told.
        """
        ends = time.monotonic() + wait_s
        while not is_so():
            if not await self.changed(max(0.0, ends - time.monotonic())) and time.monotonic() >= ends:
                raise TimeoutError(f"not so after {wait_s} s; sent: {[each.text for each in self.sent]}")


def _person(user: int, *, is_bot: bool = False) -> dict[str, Any]:
    return {"id": user, "is_bot": is_bot, "first_name": f"user {user}"}
