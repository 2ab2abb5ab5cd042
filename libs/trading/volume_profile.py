"""Where the volume of a stretch of bars changed hands: point of control, value area, and the nodes of a price histogram.

Theory of operation. Prices are cut into rows of `bin_px` on an absolute grid (row k is [k, k + 1) bins), so that the same price falls
into the same row whatever else is in the stretch. A bar does not say at which prices it traded, so its volume is spread uniformly over
[low, high].

* POC: the middle of the row with most volume, the upper one of equals.
* Value area: from the POC's row outwards until 70 % of the volume is inside. Each time the two rows above are weighed against the
  two rows below, and the heavier *pair* is taken whole (at the end of the histogram: what is left of it); equals go up. Growing by
  single rows gives another answer; this is the one that is meant.
* Nodes: peaks (HVN, a price the market accepted) and troughs (LVN, a price it left quickly) of the histogram, smoothed by a Gaussian
  of two rows, whose prominence is at least 10 % of the smoothed maximum. An accepted price is no resistance by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import mul

import msgspec

VALUE_SHARE = 0.70
PROMINENCE_SHARE = 0.10
SMOOTHING_ROWS = 2.0
BIN_ATR = 0.1
BIN_TICKS = 10
VOLUME_MIN = 1e-100
"""Less is none: it could not be divided over rows."""
ROWS_MAX = 2000
"""A wilder stretch gets a coarser grid, so that neither time nor memory depends on how wild it is."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a stretch's volume says, in prices: `val` and `vah` are the value area's edges, `share` what it holds of the volume.

    `hvn` and `lvn` are the middles of rows, lowest first.
    """

    bin_px: float
    poc: float
    val: float
    vah: float
    share: float
    hvn: tuple[float, ...]
    lvn: tuple[float, ...]


def bin_of(atr: float, px_tick: float) -> float:
    """The height of a row: a tenth of an ATR, ten price ticks at least (`px_tick` 0: not known)."""
    return max(BIN_TICKS * px_tick, BIN_ATR * atr)


def profile_of(bars: Iterable[tuple[float, float, float]], bin_px: float, nodes_max: int = 6) -> Profile | None:
    """The profile of `bars` (high, low, volume), at most `nodes_max` nodes of each kind, the most prominent; None without volume.

    Raises:
        ValueError: `bin_px` is not positive.
    """
    if not bin_px > 0:
        raise ValueError(f"bin_px is {bin_px}; rows have a height")
    traded = [bar for bar in bars if bar[2] > VOLUME_MIN]
    if not traded:
        return None
    bin_px = _coarse_enough(bin_px, min(low for _, low, _ in traded), max(high for high, _, _ in traded))
    first, volumes = histogram(traded, bin_px)
    poc, lo, hi, share = value_area(volumes)
    smooth = smoothed(volumes, SMOOTHING_ROWS)
    floor = PROMINENCE_SHARE * max(smooth)

    def middles(rows: list[int]) -> tuple[float, ...]:
        return tuple((first + row + 0.5) * bin_px for row in rows)

    return Profile(
        bin_px=bin_px,
        poc=(first + poc + 0.5) * bin_px,
        val=(first + lo) * bin_px,
        vah=(first + hi + 1) * bin_px,
        share=share,
        hvn=middles(prominent(smooth, floor, nodes_max)),
        lvn=middles(prominent([-volume for volume in smooth], floor, nodes_max)),
    )


def histogram(bars: Sequence[tuple[float, float, float]], bin_px: float) -> tuple[int, list[float]]:
    """The volumes of `bars` (high, low, volume) by row, and the number of the first row on the absolute grid."""
    spans = [(low / bin_px, high / bin_px, volume) for high, low, volume in bars]
    first = math.floor(min([low for low, _, _ in spans]))
    volumes = [0.0] * (math.floor(max([high for _, high, _ in spans])) - first + 1)
    floor = math.floor
    for low, high, volume in spans:
        row, last = floor(low) - first, floor(high) - first
        if row == last:
            volumes[row] += volume
            continue
        per_row = volume / (high - low)
        volumes[row] += per_row * (first + row + 1 - low)
        if last > row + 1:
            volumes[row + 1 : last] = [between + per_row for between in volumes[row + 1 : last]]
        volumes[last] += per_row * (high - first - last)
    if len(volumes) > 1 and volumes[-1] == 0.0:
        volumes.pop()  # a high on the very edge of a row reaches it without entering
    return first, volumes


def value_area(volumes: Sequence[float]) -> tuple[int, int, int, float]:
    """The POC's row, the first and the last row of the value area, and the share of the volume it holds."""
    total = math.fsum(volumes)
    poc = len(volumes) - 1 - list(reversed(volumes)).index(max(volumes))
    lo = hi = poc
    inside = volumes[poc]
    while inside < VALUE_SHARE * total and (lo > 0 or hi < len(volumes) - 1):
        above, below = volumes[hi + 1 : hi + 3], volumes[max(0, lo - 2) : lo]
        if above and (not below or sum(above) >= sum(below)):
            hi += len(above)
            inside += sum(above)
        else:
            lo -= len(below)
            inside += sum(below)
    return poc, lo, hi, inside / total


def smoothed(volumes: Sequence[float], sigma: float) -> list[float]:
    """`volumes` under a Gaussian of `sigma` rows, cut at three of them; what would leave at an end is lost there."""
    reach = math.ceil(3 * sigma)
    kernel = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-reach, reach + 1)]
    weight = math.fsum(kernel)
    kernel = [each / weight for each in kernel]
    padded, width = [0.0] * reach + list(volumes) + [0.0] * reach, 2 * reach + 1
    return [sum(map(mul, kernel, padded[row : row + width])) for row in range(len(volumes))]


def prominent(heights: Sequence[float], floor: float, count_max: int) -> list[int]:
    """The inner peaks that rise at least `floor` above the higher of their two saddles, in order; the middle of a plateau."""
    found: list[tuple[float, int]] = []
    row = 1
    while row < len(heights) - 1:
        end = row
        while end < len(heights) - 1 and heights[end + 1] == heights[row]:
            end += 1
        if heights[row - 1] < heights[row] and end < len(heights) - 1 and heights[end + 1] < heights[row]:
            rise = heights[row] - max(_saddle(heights, row, -1), _saddle(heights, end, 1))
            if rise >= floor:
                found.append((rise, (row + end) // 2))
        row = end + 1
    found.sort(key=lambda each: (-each[0], each[1]))
    return sorted(place for _, place in found[:count_max])


def _saddle(heights: Sequence[float], row: int, step: int) -> float:
    """The lowest point between `row` and the next higher one in that direction, or the end."""
    peak = lowest = heights[row]
    for at in range(row + step, len(heights) if step > 0 else -1, step):
        height = heights[at]
        if height > peak:
            break
        if height < lowest:
            lowest = height
    return lowest


def _coarse_enough(bin_px: float, low: float, high: float) -> float:
    """`bin_px` doubled until the rows are few; doubling keeps it one grid, and floats still tell its rows apart."""
    while (high - low) / bin_px > ROWS_MAX or high / bin_px > 2.0**48:
        bin_px *= 2.0
    return bin_px
