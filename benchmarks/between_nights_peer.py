"""implicit's lists with `recalculate_user`, in the environment of the peers.

Reads X.npy and rated.npy from the folder given, and prints the median and the slowest call in
milliseconds, as JSON.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix


def main(folder: Path, calls: int, top_n: int) -> None:
    """Ask `calls` times for lists of `top_n` items, after one call to warm up."""
    from implicit.als import AlternatingLeastSquares

    X, rated = np.load(folder / "X.npy"), np.load(folder / "rated.npy")
    model = AlternatingLeastSquares(factors=X.shape[1], use_cg=False, num_threads=1)
    model.item_factors, model.user_factors = X, np.zeros((1, X.shape[1]), np.float32)
    places = np.zeros(rated.shape[1], int)
    rows = [
        csr_matrix((np.ones(len(items), np.float32), (places, items)), shape=(1, len(X)))
        for items in rated
    ]
    seconds = []
    for number in range(calls + 1):
        start = time.perf_counter()
        model.recommend(0, rows[number % len(rows)], N=top_n, recalculate_user=True)
        seconds.append(time.perf_counter() - start)
    print(json.dumps([1000 * statistics.median(seconds[1:]), 1000 * max(seconds[1:])]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
