"""The notifier: what happened, told to people at least once, and a storm told in few words.

    event ──▶ first of its kind in the window? ── no ──▶ counted; told as "(n more)" when the window ends
                 │ yes
                 ▼
    does its channel work? ── no ──▶ waits (letters.py) until the channel's breaker (channel.py) lets it through, and is told late
                 │ yes
                 ▼
    PersonNotified + SendMessage ──▶ sent: done
                                 ──▶ failed: again after a back-off, a bounded number of times, then an alert
                                 ──▶ interrupted (nobody knows): told again, marked as a repeat
                                 ──▶ expired: too old to matter, given up

A page is never given up: it is tried at the longest back-off for as long as it takes, and told late rather than not at all. At most
`UNDER_WAY_MAX` letters are under way; what comes beyond that waits too.

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
    MessageSent,
    OrderDenied,
    PersonNotified,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    TimerFired,
    TradingStateChanged,
)
from libs.common.timeframe import SECOND
from libs.runtime.machine import CancelTimer, Effect, Perform, Publish, SetTimer
from services.notifier.channel import BREAKER_TIMER, Channel
from services.notifier.letters import Letter, Waiting
from services.notifier.manner import Manner
from services.notifier.requests import Level, SendMessage
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
RETRY_TIMER = "retry."
UNDER_WAY_MAX = 100
DOUBLINGS_MAX = 30


class Window(msgspec.Struct, kw_only=True):
    """One kind of event that was told a short while ago; further ones are counted until the window ends."""

    level: Level
    text: str
    correlation_id: str
    more_count: int = 0


class Memory(msgspec.Struct, kw_only=True):
    """Letters under way by request id (between two attempts by the id of the last request), windows by key, channels by name."""

    letters: dict[str, Letter] = {}
    windows: dict[str, Window] = {}
    channels: dict[str, Channel] = {}
    waiting: Waiting = msgspec.field(default_factory=Waiting)


class NotifierMachine:
    """Turns events into messages to people."""

    Settings: ClassVar[type[Manner]] = Manner
    State: ClassVar[type[Memory]] = Memory

    def __init__(self, settings: Manner):
        self.settings = settings
        self.state = Memory()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """Take an event worth telling, a timer or a channel's answer."""
        name, limits = self.settings.channel, self.settings.limits
        channel = self.state.channels.setdefault(name, Channel())
        effects = channel.due(name, limits, self.state.waiting, now)
        effects += self._react(event, channel, now)
        effects += self._release(event, channel, now)
        return [*effects, *channel.timer(name, limits)]

    def _react(self, event: Message, channel: Channel, now: int) -> list[Effect]:
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
                return self._tell(derive_id("head", event.day), "note", head_text(event), event, now)
            case LiveUnlocked():
                key = derive_id("unlocked", event.certificate)
                return self._tell(key, UNLOCK_LEVELS[event.grounds], unlock_text(event), event, now)
            case TimerFired():
                return self._on_timer(event, channel, now)
            case Answer():
                return self._on_answer(event, channel, now)
            case ServiceStarted():
                return self._forget_other_channels()
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
        return self._post(letter, event, now)

    def _post(self, letter: Letter, cause: Message, now: int) -> list[Effect]:
        """Send it if it may leave, else let it wait."""
        state, channel = self.state, self.state.channels[self.settings.channel]
        has_room = len(state.letters) < UNDER_WAY_MAX
        is_next = channel.breaker.state == "CLOSED" or not state.waiting.letters  # the probe is the gravest that waits
        if has_room and is_next and channel.breaker.allows(self.settings.limits, now):
            return self._send(letter, cause, channel, now)
        self._wait(letter)
        return []

    def _wait(self, letter: Letter) -> None:
        self.state.waiting.add(letter, self.settings.waiting_kinds_max)

    def _release(self, cause: Message, channel: Channel, now: int) -> list[Effect]:
        """What waits and may leave now: the gravest as the probe of a channel that was down, everything once it works."""
        state, waiting = self.state, self.state.waiting
        if len(state.letters) >= UNDER_WAY_MAX:
            return []
        if channel.breaker.state == "CLOSED":
            is_telling = any(each.waited is not None for each in state.letters.values())
            if is_telling or not (waiting.letters or waiting.dropped):
                return []
            return self._send(waiting.take_all(now), cause, channel, now)
        if waiting.letters and channel.breaker.allows(self.settings.limits, now):
            return self._send(waiting.take_gravest(), cause, channel, now)
        return []

    def _send(self, letter: Letter, cause: Message, channel: Channel, now: int) -> list[Effect]:
        request_id = derive_id("send", cause.id)
        while request_id in self.state.letters:  # two letters of one cause, or somebody has used an id twice
            request_id = derive_id("send", request_id)
        self.state.letters[request_id] = letter
        letter.channel = self.settings.channel
        if channel.breaker.state == "HALF_OPEN":
            channel.probe_id = request_id
        if letter.is_late:
            letter.valid_until = now + self.settings.send_ttl_s * SECOND
        notices = [] if letter.is_noticed else [_notice(letter, now)]
        letter.is_noticed = True
        request = SendMessage(
            channel=letter.channel,
            level=letter.level,
            text=letter.marked(now),
            repeat=letter.repeat,
            valid_until=letter.valid_until,
        )
        return [*notices, Perform(request_id, request)]

    # --- what comes back ----------------------------------------------------------------------------------------

    def _on_timer(self, event: TimerFired, channel: Channel, now: int) -> list[Effect]:
        if event.name.startswith(WINDOW_TIMER):
            return self._end_window(event.name.removeprefix(WINDOW_TIMER), event, now)
        if event.name == BREAKER_TIMER + self.settings.channel:
            channel.timer_at = 0
            return []
        letter = self.state.letters.pop(event.name.removeprefix(RETRY_TIMER), None)
        return self._post(letter, event, now) if letter is not None else []

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
        return [*self._post(letter, event, now), self._window_timer(key, now)]

    def _window_timer(self, key: str, now: int) -> SetTimer:
        return SetTimer(WINDOW_TIMER + key, now + self.settings.repeat_window_s * SECOND)

    def _on_answer(self, answer: Answer, channel: Channel, now: int) -> list[Effect]:
        letter = self.state.letters.get(answer.request_id)
        if letter is None:
            return []
        is_ours = letter.channel == self.settings.channel
        match answer:
            case MessageSent():
                effects: list[Effect] = []
                if answer.ok:
                    del self.state.letters[answer.request_id]
                if is_ours:
                    name, limits, waiting = self.settings.channel, self.settings.limits, self.state.waiting
                    effects = channel.note(name, limits, waiting, now, request_id=answer.request_id, ok=answer.ok)
                return effects if answer.ok else [*effects, *self._on_failure(answer, letter, channel, now)]
            case RequestInterrupted():
                del self.state.letters[answer.request_id]
                channel.unproven(answer.request_id)
                letter.repeat, letter.is_noticed = True, False
                return self._post(letter, answer, now)
            case RequestExpired():
                del self.state.letters[answer.request_id]
                channel.unproven(answer.request_id)
                if letter.level == "page":
                    self._wait(letter)
        return []

    def _on_failure(self, answer: MessageSent, letter: Letter, channel: Channel, now: int) -> list[Effect]:
        settings = self.settings
        if channel.breaker.state != "CLOSED":
            del self.state.letters[answer.request_id]
            self._wait(letter)
            return []
        letter.failed_count += 1
        is_given_up = letter.failed_count >= settings.attempts_max and letter.level != "page"
        effects: list[Effect] = []
        if is_given_up or letter.failed_count == settings.attempts_max:
            why = f"last with {answer.detail[:200]!r}: {letter.body()}"
            text = f"{answer.channel} refused {letter.failed_count} times, {why}"
            alert = AlertRaised(
                code="MESSAGE_NOT_SENT", severity="ticket", text=text, correlation_id=letter.correlation_id
            )
            effects.append(Publish(alert))
        if is_given_up:
            del self.state.letters[answer.request_id]
            return effects
        wait_s = min(settings.backoff_s << min(letter.failed_count - 1, DOUBLINGS_MAX), settings.backoff_s_max)
        return [*effects, SetTimer(RETRY_TIMER + answer.request_id, now + wait_s * SECOND)]

    def _forget_other_channels(self) -> list[Effect]:
        """After a start with another setting nobody waits for the channel of before; what waited leaves through the new one."""
        others = [name for name in self.state.channels if name != self.settings.channel]
        for name in others:
            del self.state.channels[name]
        return [CancelTimer(BREAKER_TIMER + name) for name in others]


def _notice(letter: Letter, now: int) -> Publish:
    return Publish(
        PersonNotified(
            level=letter.level,
            text=letter.marked(now),
            repeat=letter.repeat,
            correlation_id=letter.correlation_id,
        )
    )
