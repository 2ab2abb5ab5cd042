"""The sign of life that a dead man's switch outside waits for: as long as all is well it is sent, and silence itself is the alarm.

    every `every_s`:  ailing? ── yes ──▶ nothing is sent (`withheld`)
                        │ no
                        ▼
                      GET url ──▶ 2xx: `sent`    anything else, or nothing within `answer_s_max`: `failed`

A beat that fails is not repeated: the next one is soon enough, and the switch allows for a few. It disturbs nobody: whoever beats does nothing else in this
task. The URL is a secret, because who has it can beat for us: it is in no log line, metric or error, and no redirect is followed with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp

from libs.common.metrics.service import HEARTBEATS
from libs.runtime.made_metrics import counter_of
from libs.runtime.redaction import register_secret
from libs.runtime.settings import read_secret_file

Beat = Literal["sent", "failed", "withheld"]
ANSWER_S_MAX = 10.0
SEGMENT_CHARS_MIN = 16
"""A part of the URL's path that is as long as this is the secret itself, and masked wherever it appears alone."""


class Heartbeat:
    """Beats at `url` every `every_s`; `ailing` says in words why it should not, and "" if all is well."""

    def __init__(
        self,
        url: str,
        every_s: float,
        ailing: Callable[[], str],
        service: str,
        registry: Any = None,
        logger: Any = None,
    ):
        self._url = url
        self._every_s = every_s
        self._ailing = ailing
        self._service = service
        self._logger = logger
        self._last: Beat | None = None
        self._beats = counter_of(HEARTBEATS, registry)

    async def beat_for_ever(self) -> None:
        """One beat now, and one after every period."""
        while True:
            due = asyncio.get_running_loop().time() + self._every_s
            await self.beat()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def beat(self) -> Beat:
        """Send a sign of life, if there is life; what became of it."""
        reason = self._ailing()
        beat: Beat = "withheld"
        if not reason:
            reason = await self._send()
            beat = "failed" if reason else "sent"
        self._beats.labels(self._service, beat).inc()
        if beat != self._last and self._logger is not None:
            say = self._logger.warning if reason else self._logger.info
            say(f"heartbeat_{beat}", reason=reason)
        self._last = beat
        return beat

    async def _send(self) -> str:
        """Why the beat did not arrive, in words without the address; empty if it did."""
        timeout = aiohttp.ClientTimeout(total=min(ANSWER_S_MAX, self._every_s))
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.get(self._url, allow_redirects=False) as answer,
            ):
                return "" if 200 <= answer.status < 300 else f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # their texts name the address
            return type(error).__name__


def heartbeat_url(path: Path, name: str) -> str:
    """The URL in the file that the variable `name` points at; from now on it is masked in all texts, and so is the secret part alone.

    Raises:
        SettingsError: the file cannot be used as a secret.
        ValueError: what it holds is no URL that a secret may travel to; the text does not show it.
    """
    url = read_secret_file(path, name)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("the file holds no URL") from None
    for segment in (*parts.path.split("/"), parts.query):
        if len(segment) >= SEGMENT_CHARS_MIN:
            register_secret(segment)
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or any(map(str.isspace, url)):
        raise ValueError("the file holds no URL: want one line, https://... without a user")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("a secret URL does not travel over plain http to another machine; use https")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
