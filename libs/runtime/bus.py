"""The log over NATS JetStream: conditional appends and the points a recovery reads. Beside `ordered_pull`, all of nats-py is here.

What nats-py 2.16 and the server get wrong for a system of record, and what is done here about it (measured; see
docs/decisions/0002-reading-and-appending.md):

* Publishes made while disconnected are sent later as ghosts. Here: `pending_size=0`, and no append without a connection.
* A timeout says nothing: the message may be stored. Here: `AppendUnknown`, and the process ends; recovery reads what is true.
* A subject that is not UTF-8 ends the reading task silently, with the connection looking alive. Here: it is read with `\ufffd`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nkeys import NkeysError

from libs.runtime.adapter import LogEntry
from libs.runtime.bus_errors import AppendUnknown, BusError, EpochOver, Fenced, NotTaken
from libs.runtime.core import shortened
from libs.runtime.engine import Append
from libs.runtime.epochs import Epoch, holding
from libs.runtime.log_epochs import LogEpochs, state_of
from libs.runtime.nats_config import KeysError
from libs.runtime.stopping import cancelled

APPEND_TIMEOUT_S = 5.0
API_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 1.0
WRONG_LAST_SEQUENCE = (10071, 10164)
OTHER_STREAM = 10060
NOT_FOUND = 404

OnClosed = Callable[[], None] | None
OnError = Callable[[str], None] | None


class LogState(msgspec.Struct, frozen=True):
    """How much stands in the log: its first and last place, how many messages, and their bytes on the server."""

    first_seq: int
    last_seq: int
    messages: int
    bytes: int


class _Client(Client):
    """A client that no subject in the log can silence."""

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        await super()._process_msg(sid, subject.decode(errors="replace").encode(), reply, data, headers)


class Bus:
    """One connection to NATS, for one service.

    `breaks` counts how often the connection was lost: what was read before one says nothing about what came after it.
    `wake_when_back` are set each time it stands again.

    `stream` is the log's name, that of its first epoch; what is read and appended goes to the epoch where it belongs (`epochs`).
    """

    def __init__(self, client: Client, stream: str, api: str = "$JS.API"):
        self._client = client
        self.stream = stream
        self.api_root = api
        self.breaks = 0
        self.wake_when_back: weakref.WeakSet[asyncio.Event] = weakref.WeakSet()
        self._waiting: set[asyncio.Future[Msg]] = set()
        self.epochs = LogEpochs(stream, self.api)

    @classmethod
    async def connect(
        cls,
        options: dict[str, Any],
        stream: str,
        *,
        api: str = "$JS.API",
        on_closed: OnClosed = None,
        on_error: OnError = None,
    ) -> Bus:
        """Connect with `options` (libs.runtime.nats_config.connect_options), waiting for a server for as long as it takes.

        `api` is where this user finds the JetStream API (`nats_config.api_prefix`): guests find it under another name.

        Raises:
            KeysError: the seed is none, or there is a server and it does not know it: waiting would not help.
        """
        bus = cls(_Client(), stream, api)
        refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def reconnected() -> None:
            for event in bus.wake_when_back:
                event.set()

        async def disconnected() -> None:
            bus.breaks += 1
            bus._interrupt(AppendUnknown("the connection to the bus broke"))

        async def failed(error: Exception) -> None:
            text = str(error)
            if "authorization violation" in text.lower() and not refused.done():
                refused.set_result(text)
            if "permissions violation for publish" in text:
                bus._interrupt(BusError(f"this user may not do that: {text}"))
            if on_error is not None:
                on_error(text)

        async def closed() -> None:
            if on_closed is not None:
                on_closed()

        callbacks = {
            "reconnected_cb": reconnected,
            "disconnected_cb": disconnected,
            "error_cb": failed,
            "closed_cb": closed,
        }
        connecting = asyncio.ensure_future(bus._client.connect(**{**options, **callbacks}))
        try:
            await asyncio.wait({connecting, refused}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise KeysError(f"{options['servers'][0]} does not know the key in {options['nkeys_seed']}")
            connecting.result()
        except NkeysError:
            raise KeysError(f"{options['nkeys_seed']} is not an nkey seed") from None
        finally:
            await cancelled(connecting)
        return bus

    def _interrupt(self, error: BusError) -> None:
        """Let nobody wait out a timeout for an answer that cannot come any more."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error)

    @property
    def is_connected(self) -> bool:
        """Whether requests can leave now."""
        return self._client.is_connected

    @property
    def client(self) -> Client:
        """The connection itself, for pulls and market data."""
        return self._client

    async def close(self) -> None:
        """Close at once: `drain` was measured to hang when messages passed through a pull; `close` hangs on a server that does not
        take what is still to be sent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._client.close()

    # --- reading points -----------------------------------------------------------------------------------------

    async def api(self, subject: str, **body: Any) -> dict[str, Any]:
        """One JetStream API request; errors of the server come back in the answer under `error`."""
        try:
            payload = json.dumps(body).encode() if body else b""
            reply = await self._request(f"{self.api_root}.{subject}", payload, API_TIMEOUT_S)
        except (TimeoutError, NatsError) as error:
            raise BusError(f"no answer from the bus to {subject}: {type(error).__name__}") from error
        answer: dict[str, Any] = json.loads(reply.data)
        return answer

    async def last_under(self, subject_filter: str) -> LogEntry | None:
        """The newest message under a filter (read from the stream's leader)."""
        for epoch in reversed(await self.epochs.known()):
            entry = await self._get(epoch.name, last_by_subj=subject_filter)
            if entry is not None:
                return entry
        return None

    async def first_on(self, subject_filter: str, from_seq: int = 1, stream: str | None = None) -> LogEntry | None:
        """The oldest message on a subject at or after `from_seq`, of the log or another stream."""
        if stream is not None:
            return await self._get(stream, seq=from_seq, next_by_subj=subject_filter)
        entry = await self._first_in(await self.epochs.known(), subject_filter, from_seq)
        if entry is None and await self.epochs.look_for_new():
            entry = await self._first_in(await self.epochs.known(), subject_filter, from_seq)
        return entry

    async def _first_in(self, epochs: tuple[Epoch, ...], subject_filter: str, from_seq: int) -> LogEntry | None:
        begin = epochs.index(holding(epochs, from_seq))
        for epoch in epochs[begin:]:
            entry = await self._get(epoch.name, seq=max(from_seq, epoch.first_seq), next_by_subj=subject_filter)
            if entry is not None:
                return entry
        return None

    async def last_seq(self) -> int:
        """The sequence of the newest message of the log."""
        newest = (await self.epochs.known())[-1]
        return int((await state_of(self.api, newest.name))["last_seq"])

    async def size(self) -> LogState:
        """How much stands in the log, in all its epochs."""
        states = [await state_of(self.api, epoch.name) for epoch in await self.epochs.known()]
        return LogState(
            first_seq=int(states[0]["first_seq"]),
            last_seq=int(states[-1]["last_seq"]),
            messages=sum(int(each["messages"]) for each in states),
            bytes=sum(int(each["bytes"]) for each in states),
        )

    async def entry_at(self, seq: int) -> LogEntry | None:
        """The message at `seq`."""
        return await self._get(holding(await self.epochs.known(), seq).name, seq=seq)

    async def _get(self, stream: str, **query: Any) -> LogEntry | None:
        answer = await self.api(f"STREAM.MSG.GET.{stream}", **query)
        error = answer.get("error")
        if error is not None:
            if error["code"] == NOT_FOUND:
                return None
            raise BusError(f"cannot read {query} from {stream}: {error['description']}")
        found = answer["message"]
        trace = _trace_in(base64.b64decode(found.get("hdrs", "")))
        return LogEntry(int(found["seq"]), found["subject"], base64.b64decode(found.get("data", "")), trace)

    # --- writing ------------------------------------------------------------------------------------------------

    async def append(self, append: Append, prefix_filter: str, headers: dict[str, str]) -> int:
        """Append on the condition that the prefix still ends at `expected_tail`; returns the new message's seq.

        An id that was used before (a venue tells a fact twice, a stranger copies an id) makes another message, not the same one:
        the server, which drops what it takes for repeated, is told so by the place.

        It holds for one epoch only: a prefix that ended in an earlier one is empty in this, and whoever learned its end before the log went on in another
        is refused (`Nats-Expected-Stream`).

        Raises:
            Fenced, AppendUnknown.
        """
        epoch = (await self.epochs.known())[-1]
        tail = append.expected_tail if append.expected_tail >= epoch.first_seq else 0
        conditions = {
            "Nats-Msg-Id": f"{append.message.id}.{append.expected_tail}",
            "Nats-Expected-Stream": epoch.name,
            "Nats-Expected-Last-Subject-Sequence": str(tail),
            "Nats-Expected-Last-Subject-Sequence-Subject": prefix_filter,
        }
        return await self._publish(append.subject, append.payload, {**headers, **conditions})

    async def copy_to_dead(self, entry: LogEntry, reason: str) -> None:
        """Put a poison message into DEAD, once whoever asks: the second attempt is refused by the server and is fine."""
        headers = {
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Bulkhead-Subject": shortened(entry.subject[:200]),
            "Bulkhead-Reason": reason[:200],
        }
        try:
            await self._publish(f"dead.{self.stream}.{entry.seq}", entry.payload, headers)
        except Fenced:
            return

    async def publish_loose(self, subject: str, payload: bytes) -> None:
        """Send without waiting for an answer (MARKET: best effort, nobody decides from it)."""
        try:
            await self._client.publish(subject, payload)
        except NatsError as error:
            raise BusError(f"{subject} was not sent: {type(error).__name__}") from error

    async def wait_connected(self) -> None:
        """Return once requests can leave: nothing is appended into a buffer that might be sent later."""
        while not self._client.is_connected:  # noqa: ASYNC110  (nats-py has no event to wait for)
            await asyncio.sleep(0.02)

    async def _request(self, subject: str, payload: bytes, timeout_s: float, headers: Any = None) -> Msg:
        """One request; its wait ends early when the connection breaks or the server says it is forbidden."""
        asked = asyncio.ensure_future(self._client.request(subject, payload, timeout=timeout_s, headers=headers))
        interrupted: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting.add(interrupted)
        try:
            await asyncio.wait({asked, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else interrupted.result()
        finally:
            self._waiting.discard(interrupted)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    async def _publish(
        self, subject: str, payload: bytes, headers: dict[str, str], timeout_s: float = APPEND_TIMEOUT_S
    ) -> int:
        try:
            reply = await self._request(subject, payload, timeout_s, headers)
        except NoRespondersError:
            raise NotTaken(f"{subject}: no stream takes it") from None
        except (TimeoutError, NatsError) as error:
            raise AppendUnknown(f"no answer to the append on {subject}: {type(error).__name__}") from error
        answer = json.loads(reply.data)
        if "error" in answer:
            text = f"{subject}: {answer['error']['description']}"
            code = answer["error"].get("err_code")
            if code in WRONG_LAST_SEQUENCE:
                raise Fenced(text)
            if code == OTHER_STREAM:
                self.epochs.forget()
                raise EpochOver(f"{subject}: the log goes on in another epoch")
            raise BusError(text)
        if answer.get("duplicate"):
            raise AppendUnknown(f"{subject}: the log already holds this message id at {answer['seq']}")
        return int(answer["seq"])

    # --- leases -------------------------------------------------------------------------------------------------

    async def put_lease(
        self, writer: str, holder: str, expected_revision: int, timeout_s: float = APPEND_TIMEOUT_S
    ) -> int:
        """Write the lease if it is still at `expected_revision` (0: free); returns the new revision."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected_revision)}
        return await self._publish(f"$KV.LEASES.{writer}", holder.encode(), headers, timeout_s)

    async def read_lease(self, writer: str) -> LogEntry | None:
        """Who holds the lease, if anyone does."""
        return await self._get("KV_LEASES", last_by_subj=f"$KV.LEASES.{writer}")

    # --- budgets ------------------------------------------------------------------------------------------------

    async def put_row(self, subject: str, subject_filter: str, payload: bytes, expected_seq: int) -> int:
        """Write a row if nothing under the filter has changed since `expected_seq`; returns the new sequence.

        Raises:
            Fenced, AppendUnknown.
        """
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(expected_seq),
            "Nats-Expected-Last-Subject-Sequence-Subject": subject_filter,
        }
        return await self._publish(subject, payload, headers)

    async def last_row(self, stream: str, subject_filter: str) -> LogEntry | None:
        """The newest row under a filter."""
        return await self._get(stream, last_by_subj=subject_filter)


def _trace_in(headers: bytes) -> str:
    """The trace header of a message whose headers are as the bus stores them; "" if it has none."""
    for line in headers.decode(errors="replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name == "traceparent":
            return value.strip()
    return ""
