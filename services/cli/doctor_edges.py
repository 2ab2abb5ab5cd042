"""What `bulkhead doctor` asks of the outside world besides the venue: the model's server, and Telegram.

Both get one deadline, follow no redirect and read no more than a small answer: an address that was mistyped may belong to anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from services.cli.doctor import Finding

ASK_S_MAX = 5.0
ANSWER_BYTES_MAX = 256 * 1024
URL_CURE = "correct BULKHEAD_LLM_URL, or empty it: then nobody is asked"
TELEGRAM_URL = "https://api.telegram.org"


class Answered(msgspec.Struct, frozen=True):
    """What came back: a status, and JSON (None: it was none)."""

    status: int
    body: Any


async def ask(method: str, url: str, *, key: str = "", body: Any = None, is_ours: bool = False) -> Answered:
    """One request, one answer; of a server of ours on this machine (`is_ours`) the certificate is not asked for.

    Raises:
        OSError, aiohttp.ClientError, TimeoutError: none came, or one too large.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=ASK_S_MAX)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        session.request(method, url, json=body, allow_redirects=False, ssl=not is_ours) as answer,
    ):
        raw = await answer.content.read(ANSWER_BYTES_MAX + 1)
        while len(raw) <= ANSWER_BYTES_MAX and (more := await answer.content.read(ANSWER_BYTES_MAX + 1 - len(raw))):
            raw += more
        if len(raw) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError("the answer has no end")
        try:
            return Answered(answer.status, msgspec.json.decode(raw))
        except msgspec.DecodeError:
            return Answered(answer.status, None)


# --- the model ----------------------------------------------------------------------------------------------------


async def check_model(agent: Any) -> Finding:
    """The model's server answers, takes our key and has our model; one that lists nothing is asked for one token."""
    if not agent.is_configured:
        return Finding("model", "OK", "nobody is asked (BULKHEAD_LLM_URL and BULKHEAD_LLM_MODEL are not both set)")
    root = agent.llm_url.rstrip("/")
    try:
        listed = await ask("GET", f"{root}/models", key=agent.api_key())
        if listed.status in (404, 405, 501):
            question = {
                "model": agent.llm_model,
                "max_tokens": 1,
                "messages": [{"role": "user", "content": "Say yes."}],
            }
            listed = await ask("POST", f"{root}/chat/completions", key=agent.api_key(), body=question)
            return _model_finding(agent, listed, listed.body is not None)
    except (OSError, aiohttp.ClientError, TimeoutError) as error:
        return Finding("model", "FAIL", f"{root} does not answer: {_named(error)}", URL_CURE)
    names = _names_in(listed.body)
    if listed.status == 200 and names and agent.llm_model not in names:
        text = f"{root} has no {agent.llm_model}, but {', '.join(names[:5])}"
        return Finding("model", "WARN", text, "correct BULKHEAD_LLM_MODEL")
    return _model_finding(agent, listed, bool(names))


def _model_finding(agent: Any, answered: Answered, is_understood: bool) -> Finding:
    root = agent.llm_url.rstrip("/")
    if answered.status == 200 and is_understood:
        return Finding("model", "OK", f"{root} answers, {agent.llm_model} is there")
    if answered.status in (401, 403):
        return Finding("model", "FAIL", f"{root} refuses our key", "put a valid one into BULKHEAD_LLM_API_KEY_FILE")
    if 300 <= answered.status < 400:
        return Finding("model", "FAIL", f"{root} sends us elsewhere, where we do not go", URL_CURE)
    if answered.status == 200:
        return Finding("model", "FAIL", f"{root} answers, but not as a model's server does", URL_CURE)
    return Finding("model", "FAIL", f"{root} answers with status {answered.status}", f"look again; {URL_CURE}")


def _names_in(body: Any) -> list[str]:
    rows = body.get("data") if isinstance(body, dict) else None
    return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []


# --- people -------------------------------------------------------------------------------------------------------


async def check_people(notifier: Any) -> Finding:
    """Whom messages reach. Services by URL are not asked: there is no asking them without a message."""
    by_url = ", ".join(each.name for each in notifier.url_channels())
    also = f"; by URL, untried: {by_url}" if by_url else ""
    if notifier.notify_channel != "telegram":
        return Finding("people", "OK", f"messages go to the {notifier.notify_channel}{also}")
    found = await check_telegram(notifier.telegram_token(), notifier.telegram_chats, notifier.telegram_url)
    return msgspec.structs.replace(found, text=found.text + also)


async def check_telegram(token: str, chats: Sequence[int | str], url: str = TELEGRAM_URL) -> Finding:
    """The bot exists (getMe), and knows every chat (getChat). The token, which stands in the address, is never shown."""
    root = f"{url.rstrip('/')}/bot{token}"
    try:
        me = await ask("GET", f"{root}/getMe")
        if me.status != 200 or not _result(me):
            return _telegram(
                f"the token is refused (status {me.status})", "ask @BotFather for one, put it into its file"
            )
        asked = [ask("POST", f"{root}/getChat", body={"chat_id": chat}) for chat in chats]
        answers = await asyncio.gather(*asked)
    except (OSError, aiohttp.ClientError, TimeoutError) as error:
        return _telegram(f"no answer: {type(error).__name__}", "is the network well, and is Telegram?")
    lost = [str(chat) for chat, said in zip(chats, answers, strict=True) if said.status != 200 or not _result(said)]
    if lost:
        return _telegram(f"the bot cannot write to {', '.join(lost)}", "say /start to the bot there, or correct the id")
    if not chats:
        return _telegram("no chat is named", "name the chats that should be told")
    return Finding("telegram", "OK", f"@{_result(me).get('username', '?')} can write to {len(chats)} chats")


def _result(answered: Answered) -> dict[str, Any]:
    body = answered.body
    found = body.get("result") if isinstance(body, dict) and body.get("ok") else None
    return found if isinstance(found, dict) else {}


def _telegram(text: str, cure: str) -> Finding:
    return Finding("telegram", "FAIL", text, cure)


def _named(error: BaseException) -> str:
    return type(error).__name__ if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"[:200]
