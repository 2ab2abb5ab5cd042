"""The native reader and its connections: asking, refusals, back-off, silence proofs, rotation, the end. On real sockets."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import CapturingLogger

from services.market_feed.adapters.binance_reader import BinanceReader
from services.market_feed.adapters.binance_socket import PAYLOAD_BYTES_MAX, Patience
from tests.e2e.feed_bench import settled
from tests.e2e.market_frames import BTC, ETH, INSTRUMENTS, NOW, STREAMS, VENUE, Heard, quote, told, trade
from tests.e2e.raw_venue import RawConnection, RawVenue, agreed, framed


class Bench:
    """A reader at work, what it heard and what it logged."""

    def __init__(
        self,
        url: str,
        instruments: tuple[str, ...] = INSTRUMENTS,
        ssl_context: ssl.SSLContext | None = None,
        **patience: float,
    ):
        self.heard = Heard()
        self.log = CapturingLogger()
        self.reader = BinanceReader(
            url,
            VENUE,
            instruments,
            self.heard,
            lambda: NOW,
            self.log,
            patience=Patience(**patience),
            ssl_context=ssl_context,
        )
        self.running = asyncio.create_task(self.reader.run())

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What was logged under this name."""
        return [call.kwargs for call in self.log.calls if call.args == (event,)]

    @property
    def is_up(self) -> bool:
        """Whether every link is."""
        return all(link.is_up for link in self.reader.links)


@asynccontextmanager
async def reading(url: str, *args: Any, is_up: bool = True, **patience: float) -> AsyncIterator[Bench]:
    """A reader, up if `is_up`, closed at the end."""
    bench = Bench(url, *args, **patience)
    try:
        if is_up:
            await settled(lambda: bench.is_up, "the reader up")
        yield bench
    finally:
        await bench.reader.close()
        with suppress(asyncio.CancelledError):
            bench.running.cancel()
            await bench.running


async def test_every_stream_is_asked_for() -> None:
    """A hundred and twenty instruments: two connections, at most two hundred streams each, in messages of a hundred."""
    instruments = tuple(f"C{number}-USDT" for number in range(120))
    async with RawVenue() as venue, reading(venue.url, instruments) as bench:
        assert [len(link.instruments) for link in bench.reader.links] == [100, 20]
        assert sorted(len(each.streams) for each in venue.live) == [40, 200]
        assert sorted(len(asked["params"]) for each in venue.live for asked in each.asked) == [40, 100, 100]
        assert set().union(*(each.streams for each in venue.live)) == {
            f"c{number}usdt@{kind}" for number in range(120) for kind in ("trade", "bookTicker")
        }
        assert bench.heard.epochs == [1, 1]


async def test_a_stream_that_is_refused_takes_no_other_with_it() -> None:
    """The venue refuses a whole message for one name: the others are agreed to in the end, and the one is asked for again."""
    is_listed = False

    def answer(asked: dict[str, Any]) -> dict[str, Any] | None:
        if "ethusdt@trade" in asked["params"] and not is_listed:
            return {"error": {"code": 2, "msg": "Invalid request: unknown stream 'ethusdt@trade'"}, "id": asked["id"]}
        return agreed(asked)

    async with RawVenue(answer) as venue, reading(venue.url, is_up=False) as bench:
        await settled(lambda: bool(venue.live) and len(venue.live[0].streams) == 3, "the other three")
        assert not bench.is_up
        assert bench.heard.epochs == []
        is_listed = True
        await settled(lambda: bench.is_up, "all four")
        assert venue.live[0].streams == set(STREAMS)
        assert len(venue.connections) == 1
    assert len(bench.heard.reasons) >= 3
    assert set(bench.heard.reasons) == {("SUBSCRIBE_REFUSED", "")}
    assert "unknown stream" in bench.heard.refusals[0][2]


async def test_an_error_without_a_number_answers_what_was_asked() -> None:
    """Binance numbers its answers unless it could not read the question."""
    answers = iter([{"error": {"code": 3, "msg": "Invalid JSON"}, "id": None}])
    async with (
        RawVenue(lambda asked: next(answers, None) or agreed(asked)) as venue,
        reading(venue.url) as bench,
    ):
        assert bench.heard.reasons == [("SUBSCRIBE_REFUSED", "")]
        assert venue.live[0].streams == set(STREAMS)


async def test_a_venue_that_does_not_answer_is_given_up() -> None:
    """A connection without an answer proves nothing: another one is tried, and there is no epoch before."""
    async with RawVenue(lambda asked: None) as venue, reading(venue.url, is_up=False, answer_s=0.05) as bench:
        await settled(lambda: len(venue.connections) >= 3, "three tries")
        assert bench.heard.epochs == []
        venue.answer = agreed
        await settled(lambda: bench.is_up, "up")
    assert bench.heard.epochs == [1]
    assert {each["reason"] for each in bench.logged("socket_lost")} == {"NO ANSWER TO SUBSCRIBE"}


async def test_the_back_off_doubles_and_the_venue_can_ask_for_more() -> None:
    """Refused handshakes: 0.05 s, doubled each time, and what Retry-After says where that is longer."""
    async with RawVenue() as venue:
        venue.refusals += [
            (503, {}),
            (429, {"Retry-After": "1"}),
            (418, {"Retry-After": "soon"}),
            (500, {"Retry-After": "9"}),
        ]
        async with reading(venue.url) as bench:
            assert bench.heard.epochs == [1]
    lost = bench.logged("socket_lost")
    assert [each["reason"] for each in lost] == ["HTTP 503", "HTTP 429", "HTTP 418", "HTTP 500"]
    assert [each["retry_s"] for each in lost] == [0.05, 1.0, 0.2, 0.4]


async def test_nobody_there() -> None:
    """A refused connection is told and tried again; the pause ends at five seconds."""
    async with RawVenue() as venue:
        url = venue.url
    bench = Bench(url)
    bench.reader._strands[0]._pause_s = 3.0
    await settled(lambda: len(bench.logged("socket_lost")) == 1, "one try")
    assert bench.reader._strands[0]._pause_s == 5.0
    assert "ConnectionRefusedError" in bench.logged("socket_lost")[0]["reason"]
    await bench.reader.close()
    await bench.running


async def test_signs_of_life() -> None:
    """Our pings are answered, the venue's are answered by us, and both count; neither is a market frame."""
    async with RawVenue() as venue, reading(venue.url, ping_s=0.02) as bench:
        (link,) = bench.reader.links
        signs = link.signs
        assert signs >= 1  # the agreement
        connection = venue.live[0]
        await settled(lambda: len(connection.pings) >= 3, "our pings")
        await connection.ws.ping(b"1767571200000")
        await settled(lambda: connection.pongs == [b"1767571200000"], "our pong")
        await settled(lambda: bench.reader.links[0].signs >= signs + 4, "signs")
        assert link is bench.reader.links[0]
        assert link.frames == 0
        await connection.say(trade(1), trade(2, p="x"), "garbage", quote(1, "DOGEUSDT"))
        await settled(lambda: len(bench.heard.refusals) == 3, "refusals")
        assert bench.reader.links[0].frames == 2


async def test_a_lost_connection_is_a_new_epoch() -> None:
    """Cut, closed by the venue with a code of its own, or renewed by us: the next one is told, and the same trades are told again."""
    async with RawVenue() as venue, reading(venue.url) as bench:
        (link,) = bench.reader.links
        ends = (
            RawConnection.cut,
            lambda each: each.write(framed((4001).to_bytes(2, "big") + b"go away", 0x8)),
            lambda each: each.write(framed(b"", 0x8)),
            lambda each: bench.reader.renew(link, "SILENT"),
        )
        for number, end in enumerate(ends, start=1):
            await venue.live[-1].say(trade(7), quote(7))
            await settled(lambda: len(bench.heard.quotes) == number, "the quote")  # noqa: B023
            end(venue.live[-1])
            await settled(lambda: bench.heard.epochs[-1] == number + 1, "a new epoch")  # noqa: B023
            await settled(lambda: len(venue.live) == 1, "one connection")
    assert bench.heard.trades == [told(trade(7))] * len(ends)
    assert bench.heard.refusals == []
    reasons = [each["reason"] for each in bench.logged("socket_lost")]
    assert reasons == ["LOST", "CLOSED BY THE VENUE 4001", "CLOSED BY THE VENUE 0", "SILENT"]
    assert bench.logged("socket_lost")[-1]["retry_s"] == 0.0


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (framed(b"x" * (PAYLOAD_BYTES_MAX + 1)), "TOO_BIG"),
        (framed(b"x" * PAYLOAD_BYTES_MAX, is_last=False) + framed(b"x", 0x0), "TOO_BIG"),
        (framed(b"x", 0x3), "PROTOCOL_BROKEN"),
        (b"\x81\x85abcdhello", "PROTOCOL_BROKEN"),
        (framed(b"x", 0x9, is_last=False), "PROTOCOL_BROKEN"),
        (b"\x88\x01x", "PROTOCOL_BROKEN"),
    ],
    ids=["huge frame", "huge message", "opcode", "masked", "ping in parts", "half a close code"],
)
async def test_what_breaks_the_protocol_costs_the_connection(raw: bytes, reason: str) -> None:
    """It is refused, and the next connection reads on."""
    async with RawVenue() as venue, reading(venue.url) as bench:
        venue.live[0].write(raw)
        await settled(lambda: bench.heard.epochs == [1, 2], "another connection")
        await settled(lambda: len(venue.live) == 1, "the broken one gone")
        await venue.live[0].say(trade(1))
        await settled(lambda: bench.heard.trades == [told(trade(1))], "a trade")
    assert set(bench.heard.reasons) == {(reason, "")}


async def test_a_message_in_parts_is_one_message() -> None:
    """A proxy may cut messages, with a ping between the pieces."""
    async with RawVenue() as venue, reading(venue.url) as bench:
        text = trade(1).encode()
        connection = venue.live[0]
        connection.write(framed(text[:20], is_last=False) + framed(b"?", 0x9) + framed(text[20:], 0x0))
        await settled(lambda: bench.heard.trades == [told(trade(1))], "the trade")
        await settled(lambda: connection.pongs == [b"?"], "the pong")


async def test_old_quotes_are_refused_and_a_liar_is_left() -> None:
    """An update id that does not grow is old; if one frame made all that follow old, a new connection is made."""
    async with RawVenue() as venue, reading(venue.url) as bench:
        await venue.live[0].say(quote(5), quote(5), quote(4), quote(5, "ETHUSDT"), quote(6))
        await settled(lambda: len(bench.heard.quotes) == 3, "the quotes")
        assert bench.heard.reasons == [("OLD_QUOTE", BTC)] * 2
        await venue.live[0].say(quote(10**15), *(quote(number) for number in range(7, 27)))
        await settled(lambda: bench.heard.epochs == [1, 2], "another connection")
        await settled(lambda: len(venue.live) == 1, "the liar gone")
        await venue.live[0].say(quote(30))
        await settled(lambda: bench.heard.quotes[-1] == told(quote(30)), "a quote")
    assert [each["reason"] for each in bench.logged("socket_lost")] == [f"OLD_QUOTES {BTC}"]


class Tape:
    """Trades and quotes of two instruments, told to every connection, to each with a delay of its own."""

    def __init__(self, venue: RawVenue):
        self.count = 0
        self._venue = venue
        self._lag: dict[RawConnection, int] = {}
        self._waiting: dict[RawConnection, list[str]] = {}

    async def play(self, lags: tuple[int, ...]) -> None:
        """For ever; the nth connection is `lags[n]` frames behind."""
        chosen = itertools.cycle(lags)
        while True:
            self.count += 1
            for each in self._venue.live:
                if each.streams != set(STREAMS):
                    continue
                lag = self._lag.setdefault(each, next(chosen))
                waiting = self._waiting.setdefault(each, [])
                waiting += [trade(self.count), quote(self.count), trade(self.count, "ETHUSDT")]
                with suppress(ConnectionError):  # the reader has just left
                    await each.say(*waiting[: max(0, len(waiting) - lag)])
                del waiting[: max(0, len(waiting) - lag)]
            await asyncio.sleep(0.001)


@asynccontextmanager
async def playing(venue: RawVenue, *lags: int) -> AsyncIterator[Tape]:
    """A tape that plays."""
    tape = Tape(venue)
    task = asyncio.create_task(tape.play(lags))
    yield tape
    task.cancel()


def is_gapless(heard: Heard) -> bool:
    """Whether the trades of each instrument count up by one, and quotes only grow."""
    for instrument in (BTC, ETH):
        ids = [int(each.trade_id) for each in heard.trades if each.instrument == instrument]
        if ids != list(range(ids[0], ids[0] + len(ids))):
            return False
    updates = [int(each.id.rpartition("q")[2]) for each in heard.quotes]
    return updates == list(range(updates[0], updates[0] + len(updates)))


async def test_a_rotation_loses_and_repeats_nothing() -> None:
    """Connections that lag behind each other take over from each other: every trade once, in order, in one epoch."""
    async with (
        RawVenue() as venue,
        reading(venue.url, rotate_s=0.1, rotate_gap_s=0.0, overlap_s=0.1) as bench,
        playing(venue, 0, 30, 9, 60),
    ):
        await settled(lambda: len(bench.logged("socket_rotated")) >= 5, "five rotations")
        seen = len(bench.heard.trades)
        await settled(lambda: len(bench.heard.trades) > seen + 100, "more trades")
        await settled(lambda: len(venue.live) <= 2, "old ones closed")
        (link,) = bench.reader.links
        assert link.epoch == 1
        assert link.is_up
    assert bench.heard.epochs == [1]
    assert bench.heard.refusals == []
    assert is_gapless(bench.heard)
    rotated = venue.connections[: len(bench.logged("socket_rotated"))]  # the end may find one that has just begun
    assert {each.close_code for each in rotated} == {1000}
    assert all(each["clean"] for each in bench.logged("socket_rotated"))


async def test_an_announced_shutdown_is_a_rotation() -> None:
    """The venue says that it will shut down: the reader is elsewhere before, and nothing is missing."""
    async with (
        RawVenue() as venue,
        reading(venue.url, rotate_gap_s=0.0, overlap_s=0.1) as bench,
        playing(venue, 0, 12),
    ):
        await settled(lambda: len(bench.heard.trades) > 20, "trades")
        await venue.live[0].say({"e": "serverShutdown", "E": 1767571200000})
        await settled(lambda: venue.connections[0].close_code == 1000, "a goodbye")
        seen = len(bench.heard.trades)
        await settled(lambda: len(bench.heard.trades) > seen + 20, "more trades")
    assert len(venue.connections) == 2
    assert bench.heard.epochs == [1]
    assert is_gapless(bench.heard)


async def test_a_connection_that_dies_while_another_takes_over_is_a_new_epoch() -> None:
    """Nobody can say that the two overlapped: the newer one is used at once, and the gap is admitted."""
    async with RawVenue() as venue, reading(venue.url, rotate_s=0.05, rotate_gap_s=0.0, overlap_s=20.0) as bench:
        await settled(lambda: len(venue.live) == 2 and venue.live[1].streams == set(STREAMS), "a second connection")
        await venue.live[0].say(trade(1))
        await venue.live[1].say(trade(1), trade(2), quote(1))
        await settled(lambda: bench.heard.trades == [told(trade(1))], "what the first one says, once")
        venue.live[0].cut()
        await settled(lambda: bench.heard.epochs == [1, 2], "a new epoch")
        await settled(lambda: len(bench.heard.quotes) == 1, "what the second one had said")
        assert bench.heard.trades == [told(trade(1)), told(trade(2))]
        assert bench.is_up


async def test_connections_that_do_not_meet_are_a_new_epoch() -> None:
    """The old one is so far behind that it never tells the trade before the new one's first: the hole is admitted."""
    async with RawVenue() as venue, reading(venue.url, rotate_s=0.05, rotate_gap_s=0.0, overlap_s=0.02) as bench:
        await venue.live[0].say(trade(1))
        await settled(lambda: len(venue.live) == 2 and venue.live[1].streams == set(STREAMS), "a second connection")
        await venue.live[1].say(trade(3))
        await settled(lambda: bench.heard.epochs[:2] == [1, 2], "a new epoch")
        await settled(lambda: len(bench.heard.trades) == 2, "both trades")
    assert bench.heard.trades == [told(trade(1)), told(trade(3))]
    assert bench.logged("socket_rotated")[0]["clean"] is False


async def test_a_rotation_that_fails_leaves_the_old_connection_alone() -> None:
    """The venue takes no second connection: the first one is used on."""
    async with RawVenue() as venue, reading(venue.url, rotate_gap_s=0.0) as bench:
        venue.refusals += [(503, {})]
        await venue.live[0].say({"e": "serverShutdown", "E": 1767571200000})
        await settled(lambda: len(bench.logged("rotation_failed")) == 1, "a failure")
        await venue.live[0].say(trade(1))
        await settled(lambda: bench.heard.trades == [told(trade(1))], "a trade")
    assert bench.heard.epochs == [1]
    assert len(venue.connections) == 1


async def test_the_end_is_a_goodbye() -> None:
    """Closing says so on the wire, ends `run`, and leaves no connection; a reader closed before it began never begins."""
    async with RawVenue() as venue:
        async with reading(venue.url) as bench:
            await bench.reader.close()
            await bench.running
            assert not bench.is_up
        await settled(lambda: venue.connections[0].close_code == 1000, "a goodbye")
        cancelled = Bench(venue.url)
        await settled(lambda: cancelled.is_up, "up")
        cancelled.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled.running
        await settled(lambda: venue.connections[1].close_code == 1000, "another goodbye")
        early = BinanceReader(venue.url, VENUE, INSTRUMENTS, Heard(), lambda: NOW, CapturingLogger())
        await early.close()
        await early.run()
        assert len(venue.connections) == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_handshake_without_an_answer_is_not_abandoned(scheme: str) -> None:
    """Closed in the middle of one, the reader leaves no socket behind; left alone, it tries again in time."""
    ended = asyncio.Event()
    count = 0

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.read()
        writer.close()
        ended.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    bench = Bench(url, handshake_s=0.05)
    await settled(lambda: count >= 2, "a second try")
    await bench.reader.close()
    await bench.running
    patient = Bench(url, handshake_s=60.0)
    tries = count
    await settled(lambda: count > tries, "a try")
    ended.clear()
    await patient.reader.close()
    await patient.running
    await settled(ended.is_set, "the socket closed")
    server.close()


def authority(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server at 127.0.0.1 needs to prove who it is, and what a client needs to believe it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a venue")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    proof, pem = folder / "proof", certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    proof.write_bytes(private + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(proof)
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_a_venue_must_prove_who_it_is(tmp_path: Path) -> None:
    """Over TLS all is the same; a certificate that nobody vouches for is told, and nothing is read."""
    server, client = authority(tmp_path)
    async with RawVenue(ssl_context=server) as venue:
        async with reading(venue.url, ssl_context=client) as bench:
            await venue.live[0].say(trade(1))
            await settled(lambda: bench.heard.trades == [told(trade(1))], "a trade")
        async with reading(venue.url, is_up=False) as bench:
            await settled(lambda: len(bench.logged("socket_lost")) >= 2, "two tries")
            assert "SSLCertVerificationError" in bench.logged("socket_lost")[0]["reason"]
        assert len(venue.connections) == 1


async def test_a_defect_of_ours_ends_the_reader() -> None:
    """A sink that raises is no fault of the venue: it is not swallowed, and not retried."""

    class Broken(Heard):
        def trade(self, trade: Any) -> None:
            raise ZeroDivisionError("our own")

    async with RawVenue() as venue:
        bench = Bench(venue.url)
        bench.reader = BinanceReader(venue.url, VENUE, INSTRUMENTS, Broken(), lambda: NOW, bench.log)
        running = asyncio.create_task(bench.reader.run())
        await settled(lambda: bench.is_up, "up")
        for connection in venue.live:
            await connection.say(trade(1))
        with pytest.raises(ExceptionGroup) as caught:
            await running
        bench.running.cancel()
        await asyncio.gather(bench.running, return_exceptions=True)
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "ftp://127.0.0.1", "http://", "", "http://127.0.0.1:port", "http://a..b"]
)
def test_an_address_that_is_none(url: str) -> None:
    """It is said at once, with an example."""
    with pytest.raises(ValueError, match="must be like https://host:port"):
        BinanceReader(url, VENUE, INSTRUMENTS, Heard(), lambda: NOW, CapturingLogger())


def test_no_instruments() -> None:
    """A reader of nothing is a mistake."""
    with pytest.raises(ValueError, match="name at least one"):
        BinanceReader("http://127.0.0.1:1", VENUE, (), Heard(), lambda: NOW, CapturingLogger())
