"""The notifier: what happened, told to people at least once, and a storm told in few words.

    event ──▶ first of its kind in the window? ── no ──▶ counted; told as "(n more)" when the window ends
                 │ yes
                 ▼
    PersonNotified + SendMessage ──▶ sent: done
                                 ──▶ failed: again after a back-off, a bounded number of times, then an alert
                                 ──▶ interrupted (nobody knows): told again, marked as a repeat
                                 ──▶ expired: too old to matter, given up

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
    Message,
    MessageSent,
    OrderDenied,
    PersonNotified,
    RequestExpired,
    RequestInterrupted,
    TimerFired,
    TradingStateChanged,
)
from libs.common.timeframe import SECOND
from libs.runtime.machine import Effect, Perform, Publish, SetTimer
from services.notifier.requests import Level, SendMessage
from services.notifier.wording import STATE_LEVELS, alert_text, denial_text, fill_text, state_text

WRITER = "notify"
REPEAT_MARK = "(repeat) "
WINDOW_TIMER = "window."
RETRY_TIMER = "retry."


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How to tell. After `attempts_max` failures it gives up; the wait doubles from `backoff_s` to at most `backoff_s_max`."""

    channel: str = "console"
    repeat_window_s: int = 300
    send_ttl_s: int = 3_600
    attempts_max: int = 5
    backoff_s: int = 5
    backoff_s_max: int = 300


class Letter(msgspec.Struct, kw_only=True):
    """A message on its way to people; `text` is without the mark of a repeat."""

    level: Level
    text: str
    valid_until: int
    correlation_id: str
    repeat: bool = False
    failed_count: int = 0


class Window(msgspec.Struct, kw_only=True):
    """One kind of event that was told a short while ago; further ones are counted until the window ends."""

    level: Level
    text: str
    correlation_id: str
    more_count: int = 0


class Memory(msgspec.Struct, kw_only=True):
    """Letters under way by request id (waiting ones by the id of their last request), windows by key."""

    letters: dict[str, Letter] = {}
    windows: dict[str, Window] = {}


class NotifierMachine:
    """Turns events into messages to people."""

    Settings: ClassVar[type[Manner]] = Manner
    State: ClassVar[type[Memory]] = Memory

    def __init__(self, settings: Manner):
        self.settings = settings
        self.state = Memory()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Take an event worth telling, a timer or a channel's answer."""
        match event:
            case AlertRaised() if event.producer != WRITER:
                key = derive_id("alert", event.code, event.instrument, event.severity)
                return self._tell_once(key, event.severity, alert_text(event), event, now)
            case OrderDenied():
                key = derive_id("denied", event.instrument, *event.reasons)
                return self._tell_once(key, "note", denial_text(event), event, now)
            case ExecutionReport(exec_type="TRADE"):
                return self._tell("note", fill_text(event), event, now)
            case TradingStateChanged():
                return self._tell(STATE_LEVELS[event.state], state_text(event), event, now)
            case TimerFired():
                return self._on_timer(event, now)
            case Answer():
                return self._on_answer(event, now)
        return []

    # --- telling ------------------------------------------------------------------------------------------------

    def _tell_once(self, key: str, level: Level, text: str, event: Message, now: int) -> list[Effect]:
        window = self.state.windows.get(key)
        if window is not None:
            window.text, window.correlation_id = text, event.correlation_id
            window.more_count += 1
            return []
        self.state.windows[key] = Window(level=level, text=text, correlation_id=event.correlation_id)
        return [*self._tell(level, text, event, now), self._window_timer(key, now)]

    def _tell(self, level: Level, text: str, event: Message, now: int, correlation_id: str = "") -> list[Effect]:
        letter = Letter(
            level=level,
            text=text,
            valid_until=now + self.settings.send_ttl_s * SECOND,
            correlation_id=correlation_id or event.correlation_id,
        )
        return [_notice(letter), self._send(letter, event)]

    def _send(self, letter: Letter, cause: Message) -> Effect:
        request_id = derive_id("send", cause.id)
        while request_id in self.state.letters:  # somebody has used an id twice: still two letters
            request_id = derive_id("send", request_id)
        self.state.letters[request_id] = letter
        request = SendMessage(
            channel=self.settings.channel,
            level=letter.level,
            text=_marked(letter),
            repeat=letter.repeat,
            valid_until=letter.valid_until,
        )
        return Perform(request_id, request)

    # --- what comes back ----------------------------------------------------------------------------------------

    def _on_timer(self, event: TimerFired, now: int) -> list[Effect]:
        if event.name.startswith(WINDOW_TIMER):
            return self._end_window(event.name.removeprefix(WINDOW_TIMER), event, now)
        letter = self.state.letters.pop(event.name.removeprefix(RETRY_TIMER), None)
        return [self._send(letter, event)] if letter is not None else []

    def _end_window(self, key: str, event: TimerFired, now: int) -> list[Effect]:
        window = self.state.windows.pop(key, None)
        if window is None or window.more_count == 0:
            return []
        self.state.windows[key] = msgspec.structs.replace(window, more_count=0)
        text = f"{window.text} ({window.more_count} more)"
        return [*self._tell(window.level, text, event, now, window.correlation_id), self._window_timer(key, now)]

    def _window_timer(self, key: str, now: int) -> SetTimer:
        return SetTimer(WINDOW_TIMER + key, now + self.settings.repeat_window_s * SECOND)

    def _on_answer(self, answer: Answer, now: int) -> list[Effect]:
        letter = self.state.letters.get(answer.request_id)
        if letter is None:
            return []
        match answer:
            case MessageSent(ok=False):
                return self._on_failure(answer, letter, now)
            case RequestInterrupted():
                del self.state.letters[answer.request_id]
                letter.repeat = True
                return [_notice(letter), self._send(letter, answer)]
            case MessageSent() | RequestExpired():
                del self.state.letters[answer.request_id]
        return []

    def _on_failure(self, answer: MessageSent, letter: Letter, now: int) -> list[Effect]:
        letter.failed_count += 1
        if letter.failed_count < self.settings.attempts_max:
            wait_s = min(self.settings.backoff_s * 2 ** (letter.failed_count - 1), self.settings.backoff_s_max)
            return [SetTimer(RETRY_TIMER + answer.request_id, now + wait_s * SECOND)]
        del self.state.letters[answer.request_id]
        text = f"{answer.channel} refused {letter.failed_count} times, last with {answer.detail[:200]!r}: {letter.text}"
        return [
            Publish(
                AlertRaised(code="MESSAGE_NOT_SENT", severity="ticket", text=text, correlation_id=letter.correlation_id)
            )
        ]


def _marked(letter: Letter) -> str:
    return REPEAT_MARK + letter.text if letter.repeat else letter.text


def _notice(letter: Letter) -> Publish:
    return Publish(
        PersonNotified(
            level=letter.level,
            text=_marked(letter),
            repeat=letter.repeat,
            correlation_id=letter.correlation_id,
        )
    )
