"""What leaves for each behaviour: statuses and bodies as Telegram words them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from services.telegram_sim.behaviour import Behaviour

HTML = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center>nginx/1.18.0</center></body>\r\n</html>"
UNAUTHORIZED = (401, "Unauthorized")
MALFORMED_TOKEN = (404, "Not Found")
NO_METHOD = (404, "Not Found: method not found")
CONFLICT = (
    409,
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = {}
    content_type: str = "application/json"


class MethodRefused(Exception):
    """Telegram would not do this; `status` and `description` are its answer."""

    def __init__(self, status: int, description: str):
        super().__init__(description)
        self.status, self.description = status, description


def _dumped(body: dict[str, Any]) -> str:
    """As Telegram writes it: people search its answers with grep."""
    return json.dumps(body, separators=(",", ":"))


def result(value: Any) -> Reply:
    """The method's result."""
    return Reply(body=_dumped({"ok": True, "result": value}))


def error(status: int, description: str, **parameters: Any) -> Reply:
    """An error as Telegram says it; `parameters` are those a client may act on."""
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        body["parameters"] = parameters
    return Reply(status=status, body=_dumped(body))


def refused(behaviour: Behaviour, address: str) -> Reply | None:
    """The reply of a behaviour that refuses without doing anything; None: it is no such behaviour. `address` is what was asked for, token included."""
    match behaviour.do:
        case "rate_limited":
            after = behaviour.retry_after
            return error(429, f"Too Many Requests: retry after {after}", retry_after=after)
        case "error_500":
            return error(500, "Internal Server Error")
        case "error_502_html":
            return Reply(status=502, body=HTML, content_type="text/html")
        case "unauthorized":
            return error(*UNAUTHORIZED)
        case "not_found":
            return error(*NO_METHOD)
        case "conflict":
            return error(*CONFLICT)
        case "cannot_parse":
            text = "Bad Request: can't parse entities: Can't find end of the entity starting at byte offset 5"
            return error(400, text)
        case "chat_not_found":
            return error(400, "Bad Request: chat not found")
        case "blocked":
            return error(403, "Forbidden: bot was blocked by the user")
        case "too_large":
            return error(413, "Request Entity Too Large")
        case "migrated":
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            return error(400, text, migrate_to_chat_id=-1001234567890)
        case "echoes_token":
            return error(500, f"upstream failed: POST {address}")
        case "not_json":
            return Reply(body="the bot is fine, thank you", content_type="text/plain")
        case "other_object":
            return Reply(body='{"ok": true, "result": {"pigeon": true}}')
        case "redirect":
            return Reply(status=302, headers={"Location": behaviour.to})
    return None
