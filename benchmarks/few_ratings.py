"""Lists of users with one to five ratings, beside the popular items, on real ratings.

    python -m benchmarks.few_ratings        # SHARED_DATA=<folder>: of the sets beside the sample

Of some users the model sees the first k ratings alone. Their lists should hold what they liked
among the next ten. Everyone else's ratings are all there. The model has the default settings.
"""

import os
from pathlib import Path

import numpy as np

from benchmarks.data import SAMPLE
from benchmarks.quality_sets import RatingSet, at_hand, in_order
from cofi_jobs.core.arrays import from_newest, tally
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.baselines import popularity
from cofi_jobs.evaluation.cells import in_cells
from cofi_jobs.evaluation.intervals import intervals
from cofi_jobs.evaluation.ranking_metrics import rank
from cofi_jobs.model.models import fit_ranking_model
from cofi_jobs.model.observations import Observations
from cofi_jobs.settings.resolve import load_settings

SETS = (SAMPLE, "ml-latest-small", "movietweetings")
FEW = (1, 2, 3, 5)
NEXT = 10  # ratings among which a list should hold what the user liked
LEAST = 8  # ratings of a user who is measured
SHARE = 0.3  # of these users


def main() -> None:
    """Print a line for each set and number of known ratings."""
    shared = Path(os.environ.get("SHARED_DATA", "../shared/data"))
    sets, missing = at_hand(SETS, shared)
    for name in missing:
        print(f"left out: {name}, not in {shared}")
    print("NDCG@10, and the 95 % interval of its difference from popularity's")
    for ratings in sets:
        for known in FEW:
            print(f"{ratings.name}, {known} of a user's ratings: {measured(ratings, known)}")


def measured(ratings: RatingSet, known: int) -> str:
    """Our NDCG@10 and popularity's over users of whom `known` ratings are known."""
    rng = np.random.default_rng(0)
    every = in_order(ratings, rng).ratings
    counts = np.bincount(every.user_index, minlength=every.n_users)
    place = counts[every.user_index] - from_newest(counts)  # 0 is a user's oldest rating
    few = (counts >= LEAST) & (rng.random(every.n_users) < SHARE)
    later = few[every.user_index] & (place >= known)
    train = every.where(~later)
    relevant = later & (place < known + NEXT) & (every.rating >= ratings.liked_from)
    scale = Scale(float(every.rating.min()), float(every.rating.max()))
    factors = fit_ranking_model(Observations(train, None, scale), load_settings()).factors
    X, W = factors.X, factors.W
    users = np.unique(every.user_index[relevant])
    rest = train, every.where(relevant), X, 10, 20, users
    ours, popular = (
        in_cells(rank(scores, *rest).means()["ndcg@10"], seed=0)
        for scores in (
            lambda block: W[block] @ X.T,
            popularity(tally(train.item_index, train.n_items)),
        )
    )
    low, high = intervals({}, {"difference": (ours, popular)}, seed=0)["difference"]
    between = f"{low:+.4f} to {high:+.4f}" if low is not None else "unknown: too few users"
    return (
        f"{ours.value():.4f}, popularity {popular.value():.4f}, "
        f"difference {between} ({len(users):,} users)"
    )


if __name__ == "__main__":
    main()
