"""The notifier: what happened, told to people at least once, and a storm told in few words.

    event ──▶ first of its kind in the window? ── no ──▶ counted; told as "(n more)" when the window ends
                 │ yes
                 ▼
    a letter by every channel (mail.py): the console or chats of Telegram, and services by URL; each has its own breaker and its own queue

Everything goes to every channel, so that no outage of one of them can hide anything; only a channel by URL may be told to take nothing below
a level, and a page goes to it too. A chat of Telegram is a channel of its own: one that has blocked the bot holds back no other. What waits is
in this machine's state, and with it in the log: an outage of any length loses no page, and neither does a crash.

At the end of each UTC day a report, and after a Sunday one of the week (report.py).

Alerts raised by the notifier itself are for the log and the metrics: it never tries to tell that it cannot tell.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    Answer,
    ExecutionReport,
    JournalHeadDeclared,
    LiveUnlocked,
    Message,
    MuteCommanded,
    OrderDenied,
    ServiceStarted,
    TimerFired,
    TradingStateChanged,
)
from libs.common.timeframe import SECOND
from libs.runtime.machine import Effect, SetTimer
from services.notifier.channel import Channel
from services.notifier.letters import Letter
from services.notifier.mail import Mail
from services.notifier.manner import Manner
from services.notifier.muting import MUTE_TIMER
from services.notifier.report import Diary
from services.notifier.requests import Level
from services.notifier.wording import (
    STATE_LEVELS,
    UNLOCK_LEVELS,
    alert_text,
    denial_text,
    fill_text,
    head_text,
    state_text,
    unlock_text,
)

WRITER = "notify"
WINDOW_TIMER = "window."


class Window(msgspec.Struct, kw_only=True):
    """One kind of event that was told a short while ago; further ones are counted until the window ends."""

    level: Level
    text: str
    correlation_id: str
    more_count: int = 0


class Memory(msgspec.Struct, kw_only=True):
    """What is on its way to people or waits, windows by key, and what the reports will say."""

    mail: Mail = msgspec.field(default_factory=Mail)
    windows: dict[str, Window] = {}
    diary: Diary = msgspec.field(default_factory=Diary)

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels by name, for whoever shows how they are."""
        return self.mail.channels


class NotifierMachine:
    """Turns events into messages to people."""

    Settings: ClassVar[type[Manner]] = Manner
    State: ClassVar[type[Memory]] = Memory

    def __init__(self, settings: Manner):
        self.settings = settings
        self.state = Memory()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Take an event worth telling, a timer or a channel's answer."""
        mail = self.state.mail
        effects = mail.forget_other_channels(self.settings) if isinstance(event, ServiceStarted) else []
        effects += mail.due(self.settings, now)
        self.state.diary.take(event, now)
        effects += self._react(event, now)
        return [*effects, *mail.release(self.settings, event, now)]

    def _react(self, event: Message, now: int) -> list[Effect]:
        match event:
            case AlertRaised() if event.producer != WRITER:
                key = derive_id("alert", event.code, event.instrument, event.severity)
                return self._tell_once(key, event.severity, alert_text(event), event, now)
            case OrderDenied():
                key = derive_id("denied", event.instrument, *event.reasons)
                return self._tell_once(key, "note", denial_text(event), event, now)
            case ExecutionReport(exec_type="TRADE"):
                key = derive_id("fill", event.instrument, event.side)
                return self._tell(key, "note", fill_text(event), event, now)
            case TradingStateChanged():
                key = derive_id("state", event.state)
                return self._tell(key, STATE_LEVELS[event.state], state_text(event), event, now)
            case JournalHeadDeclared():
                return self._end_day(event, now)
            case LiveUnlocked():
                key = derive_id("unlocked", event.certificate)
                return self._tell(key, UNLOCK_LEVELS[event.grounds], unlock_text(event), event, now)
            case MuteCommanded():
                return self.state.mail.muting.command(event, self.settings.channels, now)
            case TimerFired():
                return self._on_timer(event, now)
            case Answer():
                return self.state.mail.on_answer(self.settings, event, now)
        return []

    # --- telling ------------------------------------------------------------------------------------------------

    def _tell_once(self, key: str, level: Level, text: str, event: Message, now: int) -> list[Effect]:
        window = self.state.windows.get(key)
        if window is not None:
            window.text, window.correlation_id = text, event.correlation_id
            window.more_count += 1
            return []
        self.state.windows[key] = Window(level=level, text=text, correlation_id=event.correlation_id)
        return [*self._tell(key, level, text, event, now), self._window_timer(key, now)]

    def _tell(self, key: str, level: Level, text: str, event: Message, now: int) -> list[Effect]:
        letter = Letter(
            level=level,
            text=text,
            valid_until=now + self.settings.send_ttl_s * SECOND,
            correlation_id=event.correlation_id,
            kind=key,
            at=now,
        )
        return self.state.mail.tell(self.settings, letter, event, now)

    def _end_day(self, head: JournalHeadDeclared, now: int) -> list[Effect]:
        """The line to keep first, then the reports."""
        effects = self._tell(derive_id("head", head.day), "note", head_text(head), head, now)
        for place, text in enumerate(self.state.diary.close_day(head)):
            effects += self._tell(derive_id("report", head.day, place), "note", text, head, now)
        return effects

    def _on_timer(self, event: TimerFired, now: int) -> list[Effect]:
        if event.name.startswith(WINDOW_TIMER):
            return self._end_window(event.name.removeprefix(WINDOW_TIMER), event, now)
        if event.name.startswith(MUTE_TIMER):
            return self._end_mute(event.name.removeprefix(MUTE_TIMER), event, now)
        return self.state.mail.on_timer(self.settings, event.name, event, now)

    def _end_mute(self, channel: str, event: TimerFired, now: int) -> list[Effect]:
        text = self.state.mail.muting.over(channel)
        if not text or channel not in self.settings.channels:
            return []
        letter = Letter(
            level="note",
            text=text,
            valid_until=now + self.settings.send_ttl_s * SECOND,
            correlation_id=event.correlation_id,
            kind=derive_id("unmuted", channel),
            at=now,
        )
        return self.state.mail.tell_one(self.settings, letter, channel, event, now)

    def _end_window(self, key: str, event: TimerFired, now: int) -> list[Effect]:
        window = self.state.windows.pop(key, None)
        if window is None or window.more_count == 0:
            return []
        self.state.windows[key] = msgspec.structs.replace(window, more_count=0)
        letter = Letter(
            level=window.level,
            text=window.text,
            valid_until=now + self.settings.send_ttl_s * SECOND,
            correlation_id=window.correlation_id,
            kind=key,
            at=now,
            count=window.more_count,
            is_tail=True,
        )
        return [*self.state.mail.tell(self.settings, letter, event, now), self._window_timer(key, now)]

    def _window_timer(self, key: str, now: int) -> SetTimer:
        return SetTimer(WINDOW_TIMER + key, now + self.settings.repeat_window_s * SECOND)
