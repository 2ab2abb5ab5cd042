"""What an outcome proves: by the raw code, and by what broke, whatever class of exception the client makes of it."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import ccxt
import pytest

from services.order_executor.adapters.classify import Heard, is_archived, is_not_found, outcome_of
from services.order_executor.requests import NEVER_SENT

KEY = aiohttp.client_reqrep.ConnectionKey("venue", 443, True, True, None, None, None)
DISABLED = "This action is disabled on this account."


def refused(code: int, text: str, status: int = 400) -> Heard:
    """A refusal in Binance's form."""
    return Heard(sent=True, status=status, body=f'{{"code":{code},"msg":"{text}"}}')


def caused(error: Exception, cause: Exception) -> Exception:
    """What ccxt raises, and from what."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("heard", "raised", "verdict", "code"),
    [
        (refused(-1000, "An unknown error occurred."), ccxt.OperationFailed, "UNKNOWN", "-1000"),
        (refused(-1001, "Internal error."), ccxt.OperationFailed, "UNKNOWN", "-1001"),
        (refused(-1006, "An unexpected response was received."), ccxt.OperationFailed, "UNKNOWN", "-1006"),
        (refused(-1007, "Timeout waiting for response."), ccxt.RequestTimeout, "UNKNOWN", "-1007"),
        (refused(-1007, "Timeout waiting for response.", 504), ccxt.RequestTimeout, "UNKNOWN", "-1007"),
        (refused(-1008, "Server is currently overloaded."), ccxt.ExchangeError, "UNKNOWN", "-1008"),
        (refused(-1008, "Request throttled.", 503), ccxt.ExchangeError, "UNKNOWN", "-1008"),
        (refused(-1016, "This service is no longer available."), ccxt.ExchangeNotAvailable, "UNKNOWN", "-1016"),
        (refused(-1003, "Too many requests.", 429), ccxt.DDoSProtection, "REJECTED", "-1003"),
        (refused(-1003, "Way too much; IP banned.", 418), ccxt.DDoSProtection, "REJECTED", "-1003"),
        (refused(-1015, "Too many new orders.", 429), ccxt.DDoSProtection, "REJECTED", "-1015"),
        (refused(-1021, "Timestamp outside of the recvWindow."), ccxt.InvalidNonce, "REJECTED", "-1021"),
        (refused(-1022, "Signature is not valid."), ccxt.AuthenticationError, "REJECTED", "-1022"),
        (refused(-2014, "API-key format invalid.", 401), ccxt.AuthenticationError, "REJECTED", "-2014"),
        (refused(-2015, "Invalid API-key.", 401), ccxt.DDoSProtection, "REJECTED", "-2015"),
        (refused(-1013, "Filter failure: LOT_SIZE"), ccxt.InvalidOrder, "REJECTED", "-1013"),
        (refused(-1013, "Market is closed."), ccxt.InvalidOrder, "REJECTED", "-1013"),
        (refused(-1121, "Invalid symbol."), ccxt.BadSymbol, "REJECTED", "-1121"),
        (refused(-1131, "recvWindow must be less than 60000."), ccxt.ExchangeError, "REJECTED", "-1131"),
        (refused(-2010, "Account has insufficient balance."), ccxt.InsufficientFunds, "REJECTED", "-2010"),
        (refused(-2010, "Duplicate order sent."), ccxt.InvalidOrder, "UNKNOWN", "-2010"),
        (refused(-2010, "Stop price would trigger immediately."), ccxt.InvalidOrder, "REJECTED", "-2010"),
        (refused(-2011, DISABLED), ccxt.OrderNotFound, "REJECTED", "-2011"),
        (refused(-2016, "No trading window."), ccxt.ExchangeError, "REJECTED", "-2016"),
        (refused(-2026, "Order was archived."), ccxt.ExchangeError, "REJECTED", "-2026"),
        (refused(-2010, "whatever", 500), ccxt.ExchangeNotAvailable, "UNKNOWN", "HTTP_500"),
        (Heard(sent=True, status=400, body="<html>"), ccxt.ExchangeError, "UNKNOWN", "HTTP_400"),
        (Heard(sent=True, status=403, body="<html>"), ccxt.ExchangeNotAvailable, "UNKNOWN", "HTTP_403"),
        (Heard(sent=True, status=408), ccxt.RequestTimeout, "UNKNOWN", "HTTP_408"),
        (Heard(sent=True, status=418, body="teapot"), ccxt.DDoSProtection, "REJECTED", "HTTP_418"),
        (Heard(sent=True, status=429), ccxt.DDoSProtection, "REJECTED", "HTTP_429"),
        (Heard(sent=True, status=451, body="<html>"), ccxt.ExchangeNotAvailable, "UNKNOWN", "HTTP_451"),
        (Heard(sent=True, status=502, body="<html>"), ccxt.ExchangeNotAvailable, "UNKNOWN", "HTTP_502"),
        (Heard(sent=True, status=504), ccxt.RequestTimeout, "UNKNOWN", "HTTP_504"),
        (Heard(sent=True, status=302), ccxt.ExchangeError, "UNKNOWN", "BAD_ANSWER"),
        (Heard(sent=True, status=200, body='{"symbol":"BTC'), ccxt.BadResponse, "UNKNOWN", "BAD_ANSWER"),
        (Heard(sent=True, status=200, body="<html>"), None, "UNKNOWN", "BAD_ANSWER"),
        (Heard(sent=True, status=200, body="{}"), None, "UNKNOWN", "BAD_ANSWER"),
        (Heard(sent=True, status=200), None, "UNKNOWN", "BAD_ANSWER"),
    ],
)
def test_the_raw_answer_decides_and_not_the_class_of_the_exception(heard, raised, verdict, code):
    """The raw answer decides and not the class of the exception."""
    outcome = outcome_of(heard, None if raised is None else raised("https://venue/order?signature=abc"))
    assert (outcome.verdict, outcome.code) == (verdict, code)
    assert "signature" not in outcome.detail


@pytest.mark.parametrize(
    ("error", "verdict", "code"),
    [
        (aiohttp.ClientConnectorError(KEY, OSError("refused")), "REJECTED", NEVER_SENT),
        (aiohttp.ClientConnectorDNSError(KEY, OSError("no such name")), "REJECTED", NEVER_SENT),
        (socket.gaierror("no such name"), "REJECTED", NEVER_SENT),
        (aiohttp.ServerDisconnectedError(), "UNKNOWN", "NO_ANSWER"),
        (aiohttp.ClientOSError(104, "reset"), "UNKNOWN", "NO_ANSWER"),
        (aiohttp.ClientPayloadError(), "UNKNOWN", "NO_ANSWER"),
        (TimeoutError(), "UNKNOWN", "NO_ANSWER"),
        (asyncio.CancelledError(), "UNKNOWN", "NO_ANSWER"),
    ],
)
def test_without_an_answer_the_cause_decides(error, verdict, code):
    """Without an answer only a connection that was never made proves anything, however ccxt wraps it."""
    for raised in (error, caused(ccxt.ExchangeNotAvailable("x"), error), caused(ccxt.RequestTimeout("x"), error)):
        outcome = outcome_of(Heard(sent=True), raised)
        assert (outcome.verdict, outcome.code) == (verdict, code)


def test_what_never_left_is_refused_whatever_was_raised():
    """What never left is refused whatever was raised."""
    outcome = outcome_of(Heard(), caused(ccxt.RequestTimeout("x"), TimeoutError()))
    assert (outcome.verdict, outcome.code) == ("REJECTED", NEVER_SENT)


@pytest.mark.parametrize(
    ("heard", "not_found", "archived"),
    [
        (refused(-2013, "Order does not exist."), True, False),
        (refused(-2026, "Order was canceled and has been archived."), False, True),
        (refused(-2011, "Unknown order sent."), False, False),
        (refused(-2011, DISABLED), False, False),
        (refused(-2015, "Invalid API-key.", 401), False, False),
        (refused(-2013, "Order does not exist.", 503), False, False),
        (Heard(sent=True, status=404, body="<html>"), False, False),
        (Heard(sent=True, status=200, body='{"code":-2013}'), False, False),
    ],
)
def test_only_the_venues_own_words_mean_that_an_order_is_not_there(heard, not_found, archived):
    """Only the venue's own words mean that an order is not there."""
    assert (is_not_found(heard), is_archived(heard)) == (not_found, archived)
