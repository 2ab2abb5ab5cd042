"""How many alerts stand in the log, by code and severity, and which troubles are still there: a fold, pure.

A trouble is open from its alert to the alert that ends it. Of several troubles of one code the first end closes all: the log does not say whose it is.
"""

from __future__ import annotations

from collections import Counter

from libs.common.alerts import CATALOGUE, alert_of
from libs.common.messages import AlertRaised

OTHER = "other"
_ENDING = frozenset(each.ends for each in CATALOGUE if each.ends)
"""The codes of troubles whose end is told."""


class AlertTally:
    """Alerts so far; codes are those of the catalogue, so that they stay few."""

    def __init__(self) -> None:
        self.raised: Counter[tuple[str, str]] = Counter(
            {(each.code, severity): 0 for each in CATALOGUE for severity in each.severities}
        )
        """By code and severity; from 0 on, so that the first one is seen as growth."""
        self.open: dict[str, str] = {code: "" for code in sorted(_ENDING)}
        """By code how grave it is; "": it is over, or was never there."""

    def hear(self, alert: AlertRaised) -> None:
        """One more."""
        known = alert_of(alert.code)
        code = OTHER if known is None else known.code
        self.raised[code, alert.severity] += 1
        if known is not None and known.ends:
            self.open[known.ends] = ""
        elif code in self.open:
            self.open[code] = alert.severity
