"""What a refusal is about, by the venue's own codes and words."""

from __future__ import annotations

import pytest

from services.order_executor.refusals import kind_of
from services.order_executor.requests import NEVER_SENT


@pytest.mark.parametrize(
    ("code", "detail", "kind"),
    [
        (NEVER_SENT, "older than its valid_until", "TRANSIENT"),
        ("-1000", "An unknown error occurred while processing the request.", "TRANSIENT"),
        ("-1003", "Too much request weight used.", "TRANSIENT"),
        ("-1007", "Timeout waiting for response from backend server.", "TRANSIENT"),
        ("-1008", "Server is currently overloaded with other requests.", "TRANSIENT"),
        ("-1015", "Too many new orders.", "TRANSIENT"),
        ("HTTP_403", "status 403 without a code", "TRANSIENT"),
        ("HTTP_429", "status 429 without a code", "TRANSIENT"),
        ("-1002", "You are not authorized to execute this request.", "KEY"),
        ("-1022", "Signature for this request is not valid.", "KEY"),
        ("-2014", "API-key format invalid.", "KEY"),
        ("-2015", "Invalid API-key, IP, or permissions for action.", "KEY"),
        ("-2017", "API Keys are locked on this account.", "KEY"),
        ("-2010", "This action is disabled on this account.", "KEY"),
        ("-2011", "This action is disabled on this account.", "KEY"),
        ("-2010", "This symbol is not permitted for this account.", "KEY"),
        ("-2010", "Rest API trading is not enabled.", "KEY"),
        ("-1021", "Timestamp for this request is outside of the recvWindow.", "CLOCK"),
        ("-1013", "Market is closed.", "MARKET_CLOSED"),
        ("-2010", "Market is closed.", "MARKET_CLOSED"),
        ("-1121", "Invalid symbol.", "MARKET_CLOSED"),
        ("-2016", "No trading window could be found for the symbol.", "MARKET_CLOSED"),
        ("-2010", "Account has insufficient balance for requested action.", "FUNDS"),
        ("-2010", "Duplicate order sent.", "DUPLICATE"),
        ("-2010", "Stop price would trigger immediately.", "STOP_WOULD_TRIGGER"),
        ("-2010", "Order would trigger immediately.", "STOP_WOULD_TRIGGER"),
        ("-2010", "Order would immediately match and take.", "WOULD_TAKE"),
        ("-2010", "The relationship of the prices for the orders is not correct.", "WOULD_TAKE"),
        ("-1013", "Filter failure: LOT_SIZE", "ORDER"),
        ("-2010", "Order book liquidity is less than LOT_SIZE filter minimum quantity.", "ORDER"),
        ("-2011", "Unknown order sent.", "GONE"),
        ("-1131", "recvWindow must be less than 60000.", "ORDER"),
        ("-9999", "whatever comes next year", "ORDER"),
        ("", "", "ORDER"),
    ],
)
def test_a_refusal_is_about_the_order_only_when_nothing_else_is_the_trouble(code, detail, kind):
    """A refusal is about the order only when nothing else is the trouble."""
    assert kind_of(code, detail) == kind


def test_a_text_counts_only_where_the_code_leaves_the_matter_open():
    """A text that happens to speak of a closed market does not turn a revoked key into one."""
    assert kind_of("-2015", "Market is closed.") == "KEY"
