"""How often somebody may do something: moving windows, told the time (s, any steady clock)."""

from __future__ import annotations

from collections import deque


class Allowance:
    """At most `times` within `window_s` for each of at most `people_max` people."""

    def __init__(self, times: int, window_s: float = 60.0, people_max: int = 1_000):
        self._times, self._window_s, self._people_max = times, window_s, people_max
        self._spent: dict[int, deque[float]] = {}

    def spend(self, who: int, now: float) -> float:
        """Take one; 0, or, where nothing is left, in how many seconds there is one again."""
        spent = self._spent.setdefault(who, deque())
        while spent and now - spent[0] >= self._window_s:
            spent.popleft()
        if len(spent) >= self._times:
            return self._window_s - (now - spent[0])
        spent.append(now)
        if len(self._spent) > self._people_max:  # whoever has been quiet for longest
            del self._spent[next(iter(self._spent))]
        return 0.0
