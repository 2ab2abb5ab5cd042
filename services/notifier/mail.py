"""How letters leave: each channel has its own breaker, its own letters under way and waiting, its own attempts. None waits for another.

    a letter for this channel ──▶ does the channel work, and is there room? ── no ──▶ waits (letters.py) until its breaker lets it through
                                     │ yes
                                     ▼
    SendMessage ──▶ sent: done
                ──▶ failed: again after a back-off, a bounded number of times, then an alert; marked as a repeat if it may have arrived
                ──▶ interrupted (nobody knows): told again, marked as a repeat
                ──▶ expired: too old to matter, given up

A page is never given up: it is tried at the longest back-off for as long as it takes, and told late rather than not at all. At most
`UNDER_WAY_MAX` letters of a channel are under way; what comes beyond that waits too, and leaves as one digest. What waited for a channel
that is no longer configured leaves by the first one, marked if another may have told it.

The log is told once (`PersonNotified`) that people are told something, whichever channel is first; again where a repeat or a digest says it anew.
"""

from __future__ import annotations

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    Answer,
    Message,
    MessageSent,
    PersonNotified,
    RequestExpired,
    RequestInterrupted,
)
from libs.common.timeframe import SECOND
from libs.runtime.machine import CancelTimer, Effect, Perform, Publish, SetTimer
from services.notifier.channel import BREAKER_TIMER, DETAIL_CHARS_MAX, Channel
from services.notifier.letters import Letter
from services.notifier.manner import Manner
from services.notifier.muting import Muting
from services.notifier.requests import UNSURE, SendMessage

RETRY_TIMER = "retry."
UNDER_WAY_MAX = 20
"""Of one channel: a channel that takes one letter a second has taken them before the last of them is overdue."""
DOUBLINGS_MAX = 30


class Mail(msgspec.Struct, kw_only=True):
    """Letters under way by request id (between two attempts by the id of the last request), channels by name, and who is told less for a while."""

    letters: dict[str, Letter] = {}
    channels: dict[str, Channel] = {}
    muting: Muting = msgspec.field(default_factory=Muting)

    def tell_one(self, manner: Manner, letter: Letter, channel: str, cause: Message, now: int) -> list[Effect]:
        """Tell it by this channel alone."""
        return self._post(manner, msgspec.structs.replace(letter, channel=channel), cause, now)

    def due(self, manner: Manner, now: int) -> list[Effect]:
        """Let time do its work; to be called before anything else is looked at."""
        effects: list[Effect] = []
        for name in manner.channels:
            channel = self.channels.setdefault(name, Channel())
            effects += channel.due(name, manner.limits, now)
        return effects

    def tell(self, manner: Manner, letter: Letter, cause: Message, now: int) -> list[Effect]:
        """Tell it by every channel that takes what is of its level."""
        takers = manner.takers(letter.level)
        copies = [
            msgspec.structs.replace(letter, channel=name)
            for name in takers
            if not self.muting.holds_back(name, letter.level, now)
        ]
        effects: list[Effect] = []
        for each in copies:
            each.is_noticed = each.is_noticed or any(other.is_noticed for other in copies)
            effects += self._post(manner, each, cause, now)
        if any(each.is_noticed for each in copies):
            for each in copies:
                each.is_noticed = True
        return effects

    def release(self, manner: Manner, cause: Message, now: int) -> list[Effect]:
        """What waits and may leave now, and the timers as the breakers want them; to be called after everything else."""
        effects: list[Effect] = []
        for name in manner.channels:
            effects += self._release(manner, name, cause, now)
            effects += self.channels[name].timer(name, manner.limits)
        return effects

    # --- what comes back ----------------------------------------------------------------------------------------

    def on_timer(self, manner: Manner, name: str, cause: Message, now: int) -> list[Effect]:
        """A back-off or a breaker's pause is over."""
        channel = self.channels.get(name.removeprefix(BREAKER_TIMER))
        if name.startswith(BREAKER_TIMER):
            if channel is not None:
                channel.timer_at = 0
            return []
        letter = self.letters.pop(name.removeprefix(RETRY_TIMER), None)
        return self._post(manner, letter, cause, now) if letter is not None else []

    def on_answer(self, manner: Manner, answer: Answer, now: int) -> list[Effect]:
        """A channel has answered, or the request never left, or nobody knows."""
        letter = self.letters.get(answer.request_id)
        if letter is None:
            return []
        channel = self.channels.get(letter.channel) if letter.channel in manner.channels else None
        match answer:
            case MessageSent():
                effects: list[Effect] = []
                if answer.ok:
                    del self.letters[answer.request_id]
                if channel is not None:
                    effects = channel.note(letter.channel, manner.limits, answer, now)
                return effects if answer.ok else [*effects, *self._on_failure(manner, answer, letter, channel, now)]
            case RequestInterrupted():
                self._took_back(answer, channel)
                letter.repeat, letter.is_noticed = True, False
                return self._post(manner, letter, answer, now)
            case RequestExpired():
                self._took_back(answer, channel)
                if letter.level == "page":
                    self._wait(manner, letter)
        return []

    def forget_other_channels(self, manner: Manner) -> list[Effect]:
        """After a start with other settings nobody waits for a channel of before; what waited leaves by the first one of now."""
        gone = [name for name in self.channels if name not in manner.channels]
        may_be_told = len(self.channels) > 1
        first = self.channels.setdefault(manner.channels[0], Channel())
        for name in gone:
            waiting = self.channels.pop(name).waiting
            for letter in waiting.letters:
                letter.repeat = letter.repeat or (may_be_told and letter.is_noticed)
                first.waiting.add(letter, manner.waiting_kinds_max)
            first.waiting.add_dropped(waiting.dropped)
        return [*(CancelTimer(BREAKER_TIMER + name) for name in gone), *self.muting.forget_others(manner.channels)]

    # --- one channel --------------------------------------------------------------------------------------------

    def _post(self, manner: Manner, letter: Letter, cause: Message, now: int) -> list[Effect]:
        """Send it if it may leave, else let it wait."""
        channel = self._channel_of(manner, letter)
        is_next = (
            channel.breaker.state == "CLOSED" or not channel.waiting.letters
        )  # the probe is the gravest that waits
        if self._has_room(letter.channel) and is_next and channel.breaker.allows(manner.limits, now):
            return self._send(manner, letter, letter.channel, cause, now)
        self._wait(manner, letter)
        return []

    def _wait(self, manner: Manner, letter: Letter) -> None:
        self._channel_of(manner, letter).waiting.add(letter, manner.waiting_kinds_max)

    def _channel_of(self, manner: Manner, letter: Letter) -> Channel:
        if letter.channel not in manner.channels:
            letter.channel = manner.channels[0]
        return self.channels[letter.channel]

    def _has_room(self, name: str) -> bool:
        return sum(each.channel == name for each in self.letters.values()) < UNDER_WAY_MAX

    def _release(self, manner: Manner, name: str, cause: Message, now: int) -> list[Effect]:
        """The gravest that waits as the probe of a channel that was down, everything once it works."""
        channel = self.channels[name]
        waiting = channel.waiting
        if not (waiting.letters or waiting.dropped) or not self._has_room(name):
            return []
        if channel.breaker.state == "CLOSED":
            is_telling = any(each.waited is not None and each.channel == name for each in self.letters.values())
            return [] if is_telling else self._send(manner, waiting.take_all(now), name, cause, now)
        if waiting.letters and channel.breaker.allows(manner.limits, now):
            return self._send(manner, waiting.take_gravest(), name, cause, now)
        return []

    def _send(self, manner: Manner, letter: Letter, name: str, cause: Message, now: int) -> list[Effect]:
        request_id = derive_id("send", cause.id, name)
        while request_id in self.letters:  # two letters of one cause, or somebody has used an id twice
            request_id = derive_id("send", request_id)
        self.letters[request_id] = letter
        letter.channel = name
        channel = self.channels[name]
        if channel.breaker.state == "HALF_OPEN":
            channel.probe_id = request_id
        if letter.is_late:
            letter.valid_until = now + manner.send_ttl_s * SECOND
        notices = [] if letter.is_noticed else [_notice(letter, now)]
        letter.is_noticed = True
        request = SendMessage(
            channel=name,
            level=letter.level,
            text=letter.marked(now),
            repeat=letter.repeat,
            valid_until=letter.valid_until,
        )
        return [*notices, Perform(request_id, request)]

    def _took_back(self, answer: Answer, channel: Channel | None) -> None:
        del self.letters[answer.request_id]
        if channel is not None:
            channel.unproven(answer.request_id)

    def _on_failure(
        self, manner: Manner, answer: MessageSent, letter: Letter, channel: Channel | None, now: int
    ) -> list[Effect]:
        letter.repeat = letter.repeat or answer.detail.startswith(UNSURE)
        if channel is None or channel.breaker.state != "CLOSED":
            del self.letters[answer.request_id]
            self._wait(manner, letter)
            return []
        letter.failed_count += 1
        is_given_up = letter.failed_count >= manner.attempts_max and letter.level != "page"
        effects: list[Effect] = []
        if is_given_up or letter.failed_count == manner.attempts_max:
            why = f"last with {answer.detail[:DETAIL_CHARS_MAX]!r}: {letter.body()}"
            text = f"{answer.channel} refused {letter.failed_count} times, {why}"
            alert = AlertRaised(
                code="MESSAGE_NOT_SENT", severity="ticket", text=text, correlation_id=letter.correlation_id
            )
            effects.append(Publish(alert))
        if is_given_up:
            del self.letters[answer.request_id]
            return effects
        wait_s = min(manner.backoff_s << min(letter.failed_count - 1, DOUBLINGS_MAX), manner.backoff_s_max)
        return [*effects, SetTimer(RETRY_TIMER + answer.request_id, now + wait_s * SECOND)]


def _notice(letter: Letter, now: int) -> Publish:
    return Publish(
        PersonNotified(
            level=letter.level,
            text=letter.marked(now),
            repeat=letter.repeat,
            correlation_id=letter.correlation_id,
        )
    )
