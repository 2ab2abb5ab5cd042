"""All channels to people: each request goes to the adapter of its channel. What a channel needs is imported only where it is configured."""

from __future__ import annotations

from importlib import import_module

from libs.common.messages import Answer, MessageSent
from libs.runtime.adapter import Adapter, AdapterContext
from libs.runtime.core import Asked
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
            telegram = import_module(f"{PACKAGE}.telegram").TelegramAdapter(settings)
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
