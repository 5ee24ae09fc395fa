"""The rating scale that the ratings of a first run show."""

import numpy as np

RARE = 0.001  # share of ratings that may be errors, times how far outside they lie
MOST = 0.01  # share of ratings that may be errors, however far outside they lie
FEWEST = 3  # different ratings, below which the width of the scale is unknown


def shown_scale(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest rating, errors such as one 50 among 1 to 5 left aside.

    `values` (k,) are the different ratings in order, `counts` (k,) how many there are of each. A
    scale may have rare ends. So what is left aside is both rare and beyond a gap that is wider than
    the span of the rest; the wider the gap, the more ratings there may be beyond it.
    """
    gaps = np.diff(values)
    up_to = np.cumsum(counts) / counts.sum()  # share of the ratings up to each value
    low, high = _middle(gaps, up_to)
    while True:
        span = values[high] - values[low]
        wide = np.flatnonzero(gaps > span)
        reach = (
            int((wide[wide < low] + 1).max(initial=0)),
            int(wide[wide >= high].min(initial=len(gaps))),
        )
        if reach != (low, high):
            low, high = reach
            continue
        is_low = low > 0 and up_to[low - 1] > _share_of_errors(gaps[low - 1], span)
        is_high = high < len(gaps) and 1 - up_to[high] > _share_of_errors(gaps[high], span)
        if not is_low and not is_high:
            return float(values[low]), float(values[high])
        low, high = low - is_low, high + is_high


def _middle(gaps: np.ndarray, up_to: np.ndarray) -> tuple[int, int]:
    """First and last index of the median rating and its nearest neighbours, so many as it takes."""
    low = high = int(np.searchsorted(up_to, 0.5))
    while high - low < min(FEWEST - 1, len(gaps)):
        if high == len(gaps) or (low > 0 and gaps[low - 1] <= gaps[high]):
            low -= 1
        else:
            high += 1
    return low, high


def _share_of_errors(gap: float, span: float) -> float:
    """The share of ratings beyond a gap up to which they count as errors."""
    return min(MOST, RARE * gap / span)
