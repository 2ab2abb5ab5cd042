"""Channels by URL, sent by Apprise: one thread for each message, one message at a time for each channel, and a time limit.

Apprise says only whether a service took a message, not whether it may have arrived: every failure is told as unsure, except that it was not even
tried. A thread that does not come back cannot be stopped; its channel fails until it does. Apprise is silent in our logs, because its lines show parts of URLs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode

from libs.common.messages import Answer, MessageSent
from libs.runtime.adapter import AdapterContext
from libs.runtime.core import Asked
from libs.runtime.redaction import redact
from libs.runtime.settings import SettingsError
from services.notifier.requests import UNSURE, Level, SendMessage
from services.notifier.settings import URLS_VARIABLE, Settings

PERFORM_S_MAX = 25.0
"""Below the time after which a breaker takes its probe for lost."""
KINDS: dict[Level, NotifyType] = {"page": NotifyType.FAILURE, "ticket": NotifyType.WARNING, "note": NotifyType.INFO}


class UrlAdapter:
    """Sends messages by the URLs of one file.

    Raises:
        SettingsError: Apprise knows no such service; the channel is named, its URL is not.
    """

    def __init__(self, settings: Settings):
        logging.getLogger("apprise").disabled = True
        self._services: dict[str, Any] = {}
        self._busy: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._context: AdapterContext
        asset = AppriseAsset(storage_mode=PersistentStoreMode.MEMORY)
        for each in settings.url_channels():
            service = Apprise.instantiate(each.url, asset=asset)
            if service is None:
                raise SettingsError(f"{URLS_VARIABLE}: Apprise cannot use the URL of channel {each.name}")
            self._services[each.name] = service

    @property
    def names(self) -> tuple[str, ...]:
        """The channels."""
        return tuple(self._services)

    async def open(self, context: AdapterContext) -> None:
        """Nothing to connect to before there is a message."""
        self._context = context

    async def perform(self, asked: Asked) -> Answer:
        """Send one message.

        Raises:
            TypeError: the request is not a SendMessage (a defect in the machine).
        """
        request = asked.request
        if not isinstance(request, SendMessage):
            raise TypeError(f"a channel by URL cannot perform {type(request).__name__}")
        detail = await self._sent(request)
        now = self._context.clock.now()
        return MessageSent(
            request_id=asked.request_id,
            channel=request.channel,
            ok=not detail,
            detail=redact(detail),
            ts_event=now,
            ts_init=now,
        )

    async def close(self) -> None:
        """Threads that still send end with the process."""

    async def _sent(self, request: SendMessage) -> str:
        """Empty if the service took it, else what was wrong."""
        lock = self._locks.setdefault(request.channel, asyncio.Lock())
        is_tried = False
        try:
            async with asyncio.timeout(PERFORM_S_MAX), lock:
                if request.channel in self._busy:
                    return "the service has not finished with the message before"
                is_tried = True
                return await self._tried(request)
        except TimeoutError:
            return f"{UNSURE}no answer" if is_tried else "the service is busy with the messages before"

    async def _tried(self, request: SendMessage) -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        service = self._services[request.channel]

        def tell(detail: str) -> None:
            if not answer.done():
                answer.set_result(detail)

        def send() -> None:
            try:
                is_taken = service.notify(
                    body=redact(request.text),
                    title=f"Bulkhead {request.level}",
                    notify_type=KINDS[request.level],
                    body_format=NotifyFormat.TEXT,
                )
                detail = "" if is_taken else f"{UNSURE}the service did not take it"
            except Exception as error:  # noqa: BLE001  whatever a plug-in of Apprise raises, it is a message that was not sent
                detail = f"{UNSURE}{type(error).__name__}"
            self._busy.discard(request.channel)
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, detail)

        self._busy.add(request.channel)
        threading.Thread(target=send, name=f"notify-{request.channel}", daemon=True).start()
        return await answer
