"""The Bot API's methods, as far as they are known here: fields in, result out, or a refusal in Telegram's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from services.telegram_sim.chats import Chats, Photo, Sent, photo_of
from services.telegram_sim.replies import MethodRefused

TEXT_CHARS_MAX = 4_096
CAPTION_CHARS_MAX = 1_024
BUTTON_BYTES_MAX = 64
PICTURE_BYTES_MAX = 10 * 1024 * 1024

Fields = dict[str, Any]
"""What was posted: texts by name, files as bytes."""


def get_me(chats: Chats, fields: Fields) -> Any:
    """Who the bot is."""
    groups = {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}
    return {**chats.bot(), **groups}


def send_message(chats: Chats, fields: Fields) -> Any:
    """Tell a chat a text."""
    chat = _chat_in(chats, fields)
    text = _text_in(fields, "text", TEXT_CHARS_MAX, "message is too long")
    if not text:
        raise MethodRefused(400, "Bad Request: message text is empty")
    sent = chats.add_sent(chat, text, _buttons_in(fields), None, str(fields.get("parse_mode", "")))
    return chats.shown(sent)


def send_photo(chats: Chats, fields: Fields) -> Any:
    """Show a chat a picture."""
    chat = _chat_in(chats, fields)
    caption = _text_in(fields, "caption", CAPTION_CHARS_MAX, "message caption is too long")
    photo = _photo_in(fields)
    sent = chats.add_sent(chat, caption, _buttons_in(fields), photo, str(fields.get("parse_mode", "")))
    return chats.shown(sent)


def edit_message_text(chats: Chats, fields: Fields) -> Any:
    """Change the text of a message, and its buttons (without any: they go)."""
    sent = _sent_in(chats, fields)
    text = _text_in(fields, "text", TEXT_CHARS_MAX, "MESSAGE_TOO_LONG")
    if not text:
        raise MethodRefused(400, "Bad Request: message text is empty")
    return _edited(chats, sent, text, _buttons_in(fields))


def edit_message_reply_markup(chats: Chats, fields: Fields) -> Any:
    """Change the buttons of a message."""
    sent = _sent_in(chats, fields)
    return _edited(chats, sent, sent.text, _buttons_in(fields))


def answer_callback_query(chats: Chats, fields: Fields) -> Any:
    """Answer whoever pressed a button."""
    is_alert = str(fields.get("show_alert", "")).lower() == "true"
    if chats.answer(str(fields.get("callback_query_id", "")), str(fields.get("text", "")), is_alert=is_alert):
        return True
    text = "Bad Request: query is too old and response timeout expired or query ID is invalid"
    raise MethodRefused(400, text)


def delete_webhook(chats: Chats, fields: Fields) -> Any:
    """There is none; what waits may be dropped with it."""
    if str(fields.get("drop_pending_updates", "")).lower() == "true":
        chats.pending.clear()
    return True


def set_my_commands(chats: Chats, fields: Fields) -> Any:
    """Which commands the app suggests."""
    commands = _json_in(fields, "commands", [])
    if not isinstance(commands, list) or len(commands) > 100:
        raise MethodRefused(400, "Bad Request: can't parse commands")
    return True


def get_chat(chats: Chats, fields: Fields) -> Any:
    """What is known of a chat."""
    gifts = dict.fromkeys(
        ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), True
    )
    extra = {"accent_color_id": 1, "max_reaction_count": 11, "accepted_gift_types": gifts}
    return {**chats.chat(_chat_in(chats, fields)), **extra}


METHODS: dict[str, Callable[[Chats, Fields], Any]] = {
    "getme": get_me,
    "sendmessage": send_message,
    "sendphoto": send_photo,
    "editmessagetext": edit_message_text,
    "editmessagereplymarkup": edit_message_reply_markup,
    "answercallbackquery": answer_callback_query,
    "deletewebhook": delete_webhook,
    "setmycommands": set_my_commands,
    "getchat": get_chat,
}
"""By name, in lower case: Telegram does not mind. getUpdates, which waits, is the server's."""


def polled(fields: Fields) -> tuple[int, int, float, list[str]]:
    """Offset, limit, timeout (s) and kinds of a getUpdates."""
    kinds = _json_in(fields, "allowed_updates", [])
    limit = min(100, max(1, _int_in(fields, "limit", 100)))
    timeout_s = float(min(50, max(0, _int_in(fields, "timeout", 0))))
    return _int_in(fields, "offset", 0), limit, timeout_s, kinds if isinstance(kinds, list) else []


def _edited(chats: Chats, sent: Sent, text: str, buttons: list[Any]) -> Any:
    if (sent.text, sent.buttons) == (text, buttons):
        text = (
            "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a"
            " current content and reply markup of the message"
        )
        raise MethodRefused(400, text)
    sent.text, sent.buttons = text, buttons
    sent.edits += 1
    return chats.shown(sent)


def _chat_in(chats: Chats, fields: Fields) -> int:
    chat = _int_in(fields, "chat_id", 0)
    if not chat:
        raise MethodRefused(400, "Bad Request: chat_id is empty")
    if chat not in chats.known:
        raise MethodRefused(400, "Bad Request: chat not found")
    if chat in chats.blocked:
        raise MethodRefused(403, "Forbidden: bot was blocked by the user")
    return chat


def _sent_in(chats: Chats, fields: Fields) -> Sent:
    sent = chats.find_sent(_chat_in(chats, fields), _int_in(fields, "message_id", 0))
    if sent is None:
        raise MethodRefused(400, "Bad Request: message to edit not found")
    return sent


def _text_in(fields: Fields, name: str, chars_max: int, complaint: str) -> str:
    text = str(fields.get(name, ""))
    if len(text) > chars_max:
        raise MethodRefused(400, f"Bad Request: {complaint}")
    return text.strip()


def _buttons_in(fields: Fields) -> list[Any]:
    markup = _json_in(fields, "reply_markup", {})
    rows = markup.get("inline_keyboard", []) if isinstance(markup, dict) else []
    for each in (each for row in rows for each in row):
        if not 1 <= len(str(each.get("callback_data") or each.get("url") or "").encode()) <= BUTTON_BYTES_MAX:
            raise MethodRefused(400, "Bad Request: BUTTON_DATA_INVALID")
    return [[{name: value for name, value in each.items() if value is not None} for each in row] for row in rows]


def _photo_in(fields: Fields) -> Photo:
    value = fields.get("photo", "")
    if isinstance(value, str) and value.startswith("attach://"):
        value = fields.get(value.removeprefix("attach://"), "")
    if not isinstance(value, bytes):
        raise MethodRefused(400, "Bad Request: there is no photo in the request")
    if len(value) > PICTURE_BYTES_MAX:
        raise MethodRefused(413, "Request Entity Too Large")
    photo = photo_of(value)
    if not photo.is_png:
        raise MethodRefused(400, "Bad Request: IMAGE_PROCESS_FAILED")
    return photo


def _int_in(fields: Fields, name: str, default: int) -> int:
    try:
        return int(fields.get(name, default))
    except (TypeError, ValueError):
        return default


def _json_in(fields: Fields, name: str, default: Any) -> Any:
    value = fields.get(name, default)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise MethodRefused(400, f"Bad Request: can't parse {name}: expected an Object") from None
