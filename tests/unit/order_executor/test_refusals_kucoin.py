"""What a refusal of KuCoin's is about, and that its codes are nobody else's."""

from __future__ import annotations

import pytest

from services.order_executor import refusals, refusals_kucoin
from services.order_executor.refusals import kind_of


@pytest.mark.parametrize(
    ("code", "detail", "kind"),
    [
        ("429000", "Too many requests in a short period of time", "TRANSIENT"),
        ("500000", "Internal Server Error", "TRANSIENT"),
        ("400002", "KC-API-TIMESTAMP Invalid", "CLOCK"),
        ("400003", "KC-API-KEY not exists", "KEY"),
        ("400004", "Invalid KC-API-PASSPHRASE", "KEY"),
        ("400005", "Invalid KC-API-SIGN", "KEY"),
        ("400006", "The requested ip address is not in the api whitelist", "KEY"),
        ("400007", "Access denied, require more permission.", "KEY"),
        ("411100", "User are frozen", "KEY"),
        ("200001", "Order creation for this pair suspended", "MARKET_CLOSED"),
        ("900001", "symbol not exists", "MARKET_CLOSED"),
        ("400100", "Unsupported trading pair.", "MARKET_CLOSED"),
        ("200004", "Balance insufficient!", "FUNDS"),
        ("300000", "Insufficient balance", "FUNDS"),
        ("102426", "Duplicate custom order ID", "DUPLICATE"),
        ("300000", "Stop price would trigger immediately.", "STOP_WOULD_TRIGGER"),
        ("300000", "Order would immediately match and take.", "WOULD_TAKE"),
        ("400100", "Order size below the minimum requirement.", "ORDER"),
        ("600100", "Order size increment invalid.", "ORDER"),
        ("NO_PAIRS", "pairs are not used at KuCoin", "ORDER"),
        ("999999", "whatever", "ORDER"),
    ],
)
def test_a_refusal_of_kucoins_is_about(code, detail, kind):
    """The kind follows from the code, and from the text where the code says many things."""
    assert kind_of(code, detail) == kind


def test_no_code_is_in_two_tables():
    """No code is in two tables, and none of KuCoin's is Binance's."""
    theirs = [code for codes, _ in refusals_kucoin.CODES for code in codes]
    ours = [code for codes, _ in refusals.DEFAULTS for code in codes]
    assert len(set(theirs + ours)) == len(theirs + ours)
    assert not set(theirs) & set(refusals_kucoin.SPEAKING_CODES)
