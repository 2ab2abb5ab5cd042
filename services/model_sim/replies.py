"""What leaves for each behaviour: statuses, headers and bodies as servers of that kind send them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from services.model_sim.behaviour import Behaviour
from services.model_sim.voices import Heard, answer, said

HTML = "<html><head><title>502 Bad Gateway</title></head><body><center>cloudfront</center></body></html>"
FLOOD_BYTES = 52 * 1024 * 1024


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = {}
    content_type: str = "application/json"


def refused(behaviour: Behaviour, key: str) -> Reply | None:
    """The reply of a behaviour that refuses by its status or leads elsewhere; None: it is no such behaviour.

    A server that does not know a key likes to repeat it, as real ones do.
    """
    later = {"Retry-After": behaviour.retry_after} if behaviour.retry_after else {}
    match behaviour.do:
        case "rate_limited":
            return _error(429, "Rate limit reached for requests", "requests", "rate_limit_exceeded", later)
        case "quota":
            return _error(429, "You exceeded your current quota", "insufficient_quota", "insufficient_quota")
        case "error_500":
            return _error(500, "The server had an error while processing your request", "server_error", None)
        case "error_502_html":
            return Reply(status=502, body=HTML, content_type="text/html")
        case "error_503":
            return _error(503, "Service unavailable", "server_error", None, later)
        case "error_529":
            return _error(529, "Overloaded", "overloaded_error", None)
        case "unauthorized":
            text = f"Incorrect API key provided: {key}. You can find your API key at your account page."
            return _error(401, text, "invalid_request_error", "invalid_api_key")
        case "forbidden":
            return _error(403, "Your project does not have access to this model", "invalid_request_error", None)
        case "missing":
            return _error(404, "The model does not exist", "invalid_request_error", "model_not_found")
        case "context_window":
            text = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
            return _error(400, text, "invalid_request_error", "context_length_exceeded")
        case "policy_refused":
            text = "Your request was rejected as a result of our safety system. content_policy_violation"
            return _error(400, text, "invalid_request_error", "content_policy_violation")
        case "too_large":
            return _error(413, "Request too large", "invalid_request_error", None)
        case "redirect_302" | "redirect_307":
            return Reply(status=int(behaviour.do[-3:]), headers={"Location": behaviour.to})
        case "html":
            return Reply(body=HTML, content_type="text/html")
        case "other_object":
            return Reply(body='["not", "a", "completion"]')
    return None


def completion(behaviour: Behaviour, heard: Heard, model: str) -> str:
    """The body of a reply with status 200, whatever is wrong with what it says."""
    text = said(heard, behaviour.voice or "agrees")
    message: dict[str, Any] = {"role": "assistant", "content": _mangled(behaviour, heard, text)}
    finish = {"length": "length", "content_filter": "content_filter", "tool_call": "tool_calls"}.get(
        behaviour.do, "stop"
    )
    if behaviour.do == "refusal":
        message |= {"content": None, "refusal": "I cannot help with that."}
    if behaviour.do == "tool_call":
        call = {"name": "place_order", "arguments": '{"side": "BUY"}'}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
    body: dict[str, Any] = {
        "id": "chatcmpl-sim",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": f"{model}-2026-01-01",
        "system_fingerprint": "fp_sim",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": _usage(heard, text),
    }
    if behaviour.do == "no_choices":
        body["choices"] = []
    if behaviour.do == "no_usage":
        del body["usage"]
    if behaviour.do == "odd_usage":
        body["usage"] = {"prompt_tokens": -5, "completion_tokens": 10**15, "total_tokens": 0}
    return json.dumps(body)


def _usage(heard: Heard, text: str) -> dict[str, int]:
    """About four characters a token."""
    asked, told = max(1, len(heard.whole) // 4), max(1, len(text) // 4)
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}


def _mangled(behaviour: Behaviour, heard: Heard, text: str) -> str:
    match behaviour.do:
        case "length" | "broken_json":
            return text[:-9]
        case "empty":
            return ""
        case "content_filter":
            return ""
        case "prose":
            return f"Sure! Here is my judgement of the case:\n\n{text}\n\nLet me know if you need more."
        case "fenced":
            return f"```json\n{text}\n```"
        case "schema":
            return answer(heard, "buy", 0.6, "I would buy", order_qty=1.5)
        case "nan":
            return answer(heard, heard.rule, float("nan"), "no idea")
        case "twice":
            return text[:-1] + ', "stance": "down"}'
        case "other_case":
            return answer(heard, heard.rule, 0.6, "about something else", case="0" * 32)
        case "certain":
            return answer(heard, heard.rule, 1.0, "there is no doubt")
        case "verbose":
            return "x" * 60_000
    return text


def _error(status: int, text: str, kind: str, code: str | None, headers: dict[str, str] | None = None) -> Reply:
    body = {"error": {"message": text, "type": kind, "param": None, "code": code}}
    return Reply(status=status, body=json.dumps(body), headers=headers or {})
