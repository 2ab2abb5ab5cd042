"""litellm on its leash, behind a port: one question, one reply, within a deadline that is ours.

What was measured of litellm and what is done about it: it asks the network for a price list when it is imported and reads `.env` (switched
off before the import); it has no deadline for the whole (ours); it follows redirects, reads bodies without an end and tries again (the
narrow door, `narrow.py`); its exceptions differ from release to release (a failure is told by what came through the door); its callbacks
are given the key in clear (there are none) and so are its log lines (its loggers are closed); it prints advice (switched off).

It is imported in a thread, and sends one question to nobody there, because its first call imports the rest of it for a second.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from types import ModuleType
from typing import Any, Protocol

import httpx
import msgspec

from services.signal_agents.llm.adapters.narrow import Heard, NarrowTransport, heard
from services.signal_agents.llm.failures import Failure, failure_of

TEXT_CHARS_MAX = 8_000
TOKENS_MAX = 10_000_000
"""More than this is not a count of tokens but nonsense."""
NO_KEY = "no-key-needed"

_SWITCHES = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOG": "ERROR",
}
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx", "httpcore")
_WARM_UP = {"messages": [{"role": "user", "content": "nobody hears this"}], "model": "nobody", "max_tokens": 1}
_CANNED = {
    "id": "0",
    "object": "chat.completion",
    "created": 0,
    "model": "nobody",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class ModelReply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one question. `failure` is empty if the model has said something; what it is worth is for others to judge.

    `tokens_in` and `tokens_out` are None where the server did not tell them, or nothing that can be true. `sent`: whether a request may
    have arrived. `status` 0: no answer came.
    """

    failure: Failure | None
    sent: bool
    status: int = 0
    text: str = ""
    model: str = ""
    finish: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    retry_after: str = ""


class ModelPort(Protocol):
    """Whoever can be asked."""

    async def open(self) -> None:
        """Get ready; may take seconds, and does not block the loop."""
        ...

    async def ask(self, request: str, deadline_s: float) -> ModelReply:
        """Ask a canonical request (`prompt.py`); returns within the deadline, whatever happens."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class LitellmClient:
    """Chat completions of any server that speaks OpenAI's language under `base_url`; `key` empty where none is needed."""

    def __init__(self, base_url: str, key: str):
        self._base_url = base_url
        self._key = key or NO_KEY
        self._litellm: ModuleType | None = None
        self._client: Any = None

    async def open(self) -> None:
        """Import litellm."""
        self._litellm = await asyncio.to_thread(_load)
        self._client = _client_of(self._base_url, self._key, NarrowTransport())

    async def ask(self, request: str, deadline_s: float) -> ModelReply:
        """One request, once.

        Raises:
            RuntimeError: it was not opened (a defect of the caller, which must not look like a fault of the model).
        """
        if self._litellm is None:
            raise RuntimeError("asked before it was open")
        note = Heard()
        token = heard.set(note)
        failure: Failure | None = None
        answer: Any = None
        try:
            async with asyncio.timeout(deadline_s):
                answer = await _complete(self._litellm, self._client, json.loads(request), deadline_s)
        except TimeoutError:
            failure = "timeout"
        except Exception:  # noqa: BLE001  the text of whatever litellm raises may hold the key; what came through the door says what happened
            failure = _failure_of(note)
        finally:
            heard.reset(token)
        if failure is not None:
            return ModelReply(failure=failure, sent=note.sent, status=note.status, retry_after=note.retry_after)
        return _reply_of(answer, note)

    async def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            await self._client.close()


# --- litellm ----------------------------------------------------------------------------------------------------------


def _load() -> ModuleType:
    """litellm, imported quietly and completely."""
    os.environ.update(_SWITCHES)
    import litellm

    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.num_retries = 0
    for hooks in (litellm.callbacks, litellm.input_callback, litellm.success_callback, litellm.failure_callback):
        hooks.clear()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.disabled = True
    asyncio.run(_warm_up(litellm))
    return litellm


async def _warm_up(litellm: ModuleType) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(_CANNED).encode()))

    token = heard.set(Heard())
    client = _client_of("http://nobody.invalid/v1", NO_KEY, NarrowTransport(httpx.MockTransport(nobody)))
    try:
        await _complete(litellm, client, _WARM_UP, 30.0)
    finally:
        heard.reset(token)
        await client.close()


def _client_of(base_url: str, key: str, transport: NarrowTransport) -> Any:
    from openai import AsyncOpenAI

    http = httpx.AsyncClient(follow_redirects=False, trust_env=False, transport=transport)
    return AsyncOpenAI(
        api_key=key,
        base_url=base_url,
        max_retries=0,
        http_client=http,
        default_headers={"Accept-Encoding": "identity"},
    )


async def _complete(litellm: ModuleType, client: Any, body: dict[str, Any], deadline_s: float) -> Any:
    options = {name: value for name, value in body.items() if name != "model"}
    return await litellm.acompletion(
        model=f"openai/{body['model']}",
        client=client,
        api_base=str(client.base_url),
        api_key=client.api_key,
        timeout=deadline_s,
        max_retries=0,
        num_retries=0,
        **options,
    )


# --- what came back ---------------------------------------------------------------------------------------------------


def _failure_of(note: Heard) -> Failure:
    if note.status and not 200 <= note.status < 300:
        return failure_of(note.status, note.body)
    if note.fault:
        return note.fault
    return "protocol" if note.sent else "bad_request"


def _reply_of(answer: Any, note: Heard) -> ModelReply:
    """What litellm made of a success; anything it lacks is a protocol failure, not an exception."""
    told = ModelReply(failure="protocol", sent=True, status=note.status)
    usage = getattr(answer, "usage", None)
    tokens_in, tokens_out = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    if tokens_in and tokens_out:  # a question and an answer of no tokens are not known, either
        told = msgspec.structs.replace(told, tokens_in=tokens_in, tokens_out=tokens_out)
    choices = getattr(answer, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        return told
    content = getattr(message, "content", None)
    finish = _short(getattr(choices[0], "finish_reason", ""))
    failure: Failure | None = None
    if (getattr(message, "provider_specific_fields", None) or {}).get("refusal"):
        failure = "refusal"
    elif finish == "length":
        failure = "truncated"
    elif finish == "content_filter":
        failure = "content_policy"
    elif not isinstance(content, str):
        failure = "schema"  # a tool was called, and there are none
    text = content if isinstance(content, str) else ""
    return msgspec.structs.replace(
        told,
        failure=failure,
        text=_plain(text[:TEXT_CHARS_MAX]),
        model=_short(getattr(answer, "model", "")),
        finish=finish,
    )


def _tokens(usage: Any, name: str) -> int | None:
    count = getattr(usage, name, None)
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 < count <= TOKENS_MAX
    return count if is_count else None


def _short(value: object) -> str:
    return _plain(str(value or ""))[:128]


def _plain(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()
