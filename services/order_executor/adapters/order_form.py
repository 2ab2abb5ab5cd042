"""An order as Binance wants to be told of it, whether it is new or takes the place of another."""

from __future__ import annotations

from typing import Any

from libs.common.money import plain
from services.order_executor.adapters.frames import symbol_of
from services.order_executor.requests import ReplaceOrder, SubmitOrder


def order_params(request: SubmitOrder | ReplaceOrder) -> dict[str, Any]:
    """The order exactly as decided. MARKET and STOP_LOSS have neither price nor time in force."""
    params: dict[str, Any] = {
        "symbol": symbol_of(request.instrument),
        "side": request.side,
        "type": request.ord_type,
        "quantity": f"{plain(request.order_qty):f}",
        "newClientOrderId": request.cl_ord_id,
        "newOrderRespType": "FULL",
    }
    if request.limit_px is not None:
        params |= {"price": f"{plain(request.limit_px):f}", "timeInForce": request.time_in_force}
    if request.stop_px is not None:
        params["stopPrice"] = f"{plain(request.stop_px):f}"
    return params
