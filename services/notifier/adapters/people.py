"""All channels to people: each request goes to the adapter of its channel. What a channel needs is imported only where it is configured.

aiogram takes seconds to import: a thread does it after the start, and the first message waits for that, not the service.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from importlib.util import find_spec

from libs.common.messages import Answer, MessageSent
from libs.runtime.adapter import Adapter, AdapterContext
from libs.runtime.core import Asked
from libs.runtime.settings import SettingsError
from services.notifier.adapters.console import CHANNEL, ConsoleAdapter
from services.notifier.adapters.gauges import ChannelSeries
from services.notifier.requests import SendMessage
from services.notifier.settings import Settings

PACKAGE = "services.notifier.adapters"


class PeopleAdapter:
    """Sends messages by the channels of the settings.

    Raises:
        SettingsError: a channel cannot be used as it is configured.
    """

    def __init__(self, settings: Settings):
        channels = settings.machine().channels
        self._adapters: dict[str, Adapter] = {}
        self._context: AdapterContext
        if settings.notify_channel == "telegram":
            telegram = TelegramLater(settings)
            self._adapters |= dict.fromkeys(channels[: len(settings.telegram_chats)], telegram)
        else:
            self._adapters[CHANNEL] = ConsoleAdapter(settings)
        if settings.notify_urls_file is not None:
            by_url = import_module(f"{PACKAGE}.by_url").UrlAdapter(settings)
            self._adapters |= dict.fromkeys(by_url.names, by_url)

    async def open(self, context: AdapterContext) -> None:
        """Open every channel, and show their breakers."""
        self._context = context
        ChannelSeries(context.registry, context.state, tuple(self._adapters))
        for adapter in self._distinct():
            await adapter.open(context)

    async def perform(self, asked: Asked) -> Answer:
        """Send one message by its channel.

        Raises:
            TypeError: the request is not a SendMessage (a defect in the machine).
        """
        request = asked.request
        if not isinstance(request, SendMessage):
            raise TypeError(f"people cannot be told {type(request).__name__}")
        adapter = self._adapters.get(request.channel)
        if adapter is not None:
            return await adapter.perform(asked)
        now = self._context.clock.now()
        return MessageSent(
            request_id=asked.request_id,
            channel=request.channel,
            ok=False,
            detail="there is no such channel any more",
            ts_event=now,
            ts_init=now,
        )

    async def close(self) -> None:
        """Close every channel."""
        for adapter in self._distinct():
            await adapter.close()

    def _distinct(self) -> list[Adapter]:
        return list({id(each): each for each in self._adapters.values()}.values())


class TelegramLater:
    """The chats of Telegram, as soon as their client is there.

    Raises:
        SettingsError: there is no usable token, or no client.
    """

    def __init__(self, settings: Settings):
        settings.telegram_token()
        if find_spec("aiogram") is None:
            raise SettingsError("BULKHEAD_NOTIFY_CHANNEL is telegram, and aiogram is not installed here")
        self._settings = settings
        self._opening: asyncio.Task[Adapter]

    async def open(self, context: AdapterContext) -> None:
        """Begin to import the client."""
        self._opening = asyncio.create_task(self._opened(context), name="import of aiogram")

    async def perform(self, asked: Asked) -> Answer:
        """Send one message, once the client is there."""
        return await (await self.opened()).perform(asked)

    async def opened(self) -> Adapter:
        """The adapter that does the work; whoever stops waiting for it does not stop it."""
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close the connections, if there are any yet."""
        if self._opening.done() and not self._opening.cancelled() and self._opening.exception() is None:
            await self._opening.result().close()
        self._opening.cancel()

    async def _opened(self, context: AdapterContext) -> Adapter:
        module = await asyncio.to_thread(import_module, f"{PACKAGE}.telegram")
        adapter: Adapter = module.TelegramAdapter(self._settings)
        await adapter.open(context)
        return adapter
