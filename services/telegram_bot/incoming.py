"""What came from Telegram, in our own words: only what decides whether it is heard, and what it says."""

from __future__ import annotations

from typing import Literal

import msgspec

WORD_CHARS_MAX = 16


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One update. `user` 0: nobody is named; `sent_at` in Unix seconds (0: it does not say, as with a pressed button).

    `text` is what was written, `data` what the pressed button carries, `query_id` the press itself; `message_id` is the message that was sent, or the
    one under which a button was pressed.
    """

    update_id: int
    kind: Literal["message", "edited_message", "press", "other"]
    user: int = 0
    chat: int = 0
    is_private: bool = False
    is_bot: bool = False
    is_forwarded: bool = False
    is_via_bot: bool = False
    sent_at: int = 0
    message_id: int = 0
    text: str = ""
    data: str = ""
    query_id: str = ""

    @property
    def said(self) -> str:
        """The word that was tried, for the record: never a reason, never a code."""
        if self.kind == "press":
            begin = self.data[:1]
            return f"button {begin}" if begin.isascii() and begin.isalpha() else "button"
        first = self.text.split(maxsplit=1)[0] if self.text.strip() else ""
        word = first.partition("@")[0]
        is_word = word.startswith("/") and word[1:].isalpha() and word.isascii() and len(word) <= WORD_CHARS_MAX
        return word if is_word else self.kind


class Button(msgspec.Struct, frozen=True):
    """A button under a message; `data` comes back when it is pressed, at most 64 bytes."""

    text: str
    data: str


Rows = tuple[tuple[Button, ...], ...]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered: a text (at most 4,096 characters), perhaps with buttons, perhaps with a picture (PNG) after it.

    `is_instead`: it takes the place of the message under which a button was pressed.
    """

    text: str
    buttons: Rows = ()
    picture: bytes = b""
    is_instead: bool = False
