"""Evaluate: how good the trial model is on ratings it has not seen, beside baselines and what is published; the gate.

The trial model (table `trial`) was fitted without the ratings that `split` holds out. Writes the table `evaluation`,
each user's own measures, so that any mean and its interval can be computed again. The gate may refuse the run.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import sample
from cofi_jobs.core.errors import QualityError
from cofi_jobs.core.factors import StoredModel, row_numbers
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation import baselines, gate, metrics
from cofi_jobs.evaluation.baselines import PREDICTIONS, RANKINGS
from cofi_jobs.evaluation.metrics import Lists, Mean, Scores, errors, mean_of, rank
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.run_tables import read_model
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import learned_from, read_holdout_model, read_split
from cofi_jobs.tuning import tuned

log = logging.getLogger(__name__)

HEADS = ("rating", "ranking")
PUBLISHED = "published"


@dataclass(frozen=True)
class Data:
    """What is known and held out, which held-out ratings count as wanted; a mask of users whose lists are measured."""

    known: Ratings
    held_out: Ratings
    wanted: Ratings
    liked: Ratings
    measured: np.ndarray
    scale: Scale


def measure(
    data: Data, trial: StoredModel, stars: np.ndarray, settings: Settings
) -> tuple[dict[str, dict[str, Mean]], dict[str, Lists]]:
    """Means of every prediction and ranking, by model and measure; and the lists of every ranking.

    `stars` are what the trial model predicts for the held-out ratings.
    """
    known, held_out = data.known, data.held_out
    predictions = {
        "rating": stars,
        "global_mean": baselines.global_mean(known, held_out),
        "item_means": trial.means[held_out.item_index],
        "damped_means": data.scale.clip(baselines.damped_means(known, held_out)),
    }
    W, X, users = trial.ranking.W, trial.ranking.X, np.flatnonzero(data.measured)
    rankings: dict[str, Scores] = {
        "ranking": lambda users: W[users] @ X.T,
        "popularity": baselines.popularity(known),
        "item_knn": baselines.item_knn(data.liked),
    }
    lists = {
        name: rank(scores, known, data.wanted, X, settings.ndcg_at, settings.recall_at, users)
        for name, scores in rankings.items()
    }
    means = {name: errors(predicted, held_out) for name, predicted in predictions.items()}
    return means | {name: ranking_means(found, settings) for name, found in lists.items()}, lists


def ranking_means(lists: Lists, settings: Settings) -> dict[str, Mean]:
    """Means over users of what `rank` measured, under names that say how far down the list they look."""
    return {
        f"{name}@{depth(name, settings)}": mean_of(values) for name, values in lists.by_user.items()
    }


def depth(name: str, settings: Settings) -> int:
    """How far down the list a measure looks."""
    return settings.ndcg_at if name in ("ndcg", "map", "mrr", "hit_rate") else settings.recall_at


def measure_published(
    data: Data, trial: StoredModel, last: StoredModel, saw: np.ndarray, settings: Settings
) -> tuple[dict[str, dict[str, Mean]], np.ndarray]:
    """The trial model of the published run on the same held-out ratings, scored by ids; and the users compared.

    Left out are users whom it does not know, and users of whom it saw a held-out rating (`saw`, a mask of those): a
    rating that came late or was changed. Items that it does not know get the mean of its items and are never ranked.
    """
    users, items = (
        row_numbers(trial.user_id, last.user_id),
        row_numbers(trial.item_id, last.item_id),
    )
    known, held_out = data.known, data.held_out
    compared = (users >= 0) & ~np.isin(np.arange(len(users)), held_out.user_index[saw])
    rows, columns = users[held_out.user_index], items[held_out.item_index]
    both = (rows >= 0) & (columns >= 0)
    stars = np.full(len(rows), last.means.mean(dtype=np.float64))
    stars[columns >= 0] = last.means[columns[columns >= 0]]
    stars[both] = last.predicted_ratings(rows[both], columns[both], data.scale)
    X = np.where(items[:, None] >= 0, last.ranking.X[items], 0)

    def scores(block: np.ndarray) -> np.ndarray:
        result = np.where(users[block, None] >= 0, last.ranking.W[users[block]], 0) @ X.T
        result[:, items < 0] = -np.inf
        return result

    measured = np.flatnonzero(data.measured)
    lists = rank(
        scores, known, data.wanted, trial.ranking.X, settings.ndcg_at, settings.recall_at, measured
    )
    means = {"rating": errors(stars, held_out), "ranking": ranking_means(lists, settings)}
    return {
        head: {name: mean.of(compared) for name, mean in of.items()} for head, of in means.items()
    }, compared


def by_activity(
    data: Data, means: Mapping[str, Mapping[str, Mean]], settings: Settings
) -> list[dict[str, Any]]:
    """Thirds of the measured users by their number of known ratings, each with the main measures."""
    n_known = np.bincount(data.known.user_index, minlength=data.known.n_users)
    measured = np.bincount(data.held_out.user_index, minlength=data.known.n_users) > 0
    if not measured.any():
        return []
    bounds = np.quantile(n_known[measured], (1 / 3, 2 / 3))
    group = np.searchsorted(bounds, n_known)
    result = []
    for number, name in enumerate(("few", "some", "many")):
        users = measured & (group == number)
        if users.any():
            result.append(
                {
                    "ratings": name,
                    "from": int(n_known[users].min()),
                    "to": int(n_known[users].max()),
                    "users": int(users.sum()),
                    **{model: _values(means[model], users) for model in (*PREDICTIONS, *RANKINGS)},
                }
            )
    return result


def by_popularity(
    data: Data, stars: np.ndarray, lists: Mapping[str, Lists]
) -> list[dict[str, Any]]:
    """Items in three groups that hold a third of the known ratings each, from the most rated on.

    `stars` are predicted for the held-out ratings. `wanted` counts liked held-out ratings of the group, by users whose
    lists are measured, `recall` the share of them that the lists found, `shown` the group's share of their places.
    """
    known, held_out = data.known, data.held_out
    counts = np.bincount(known.item_index, minlength=known.n_items)
    order = np.argsort(-counts, kind="stable")
    group = np.empty(known.n_items, int)
    group[order] = np.minimum(
        (np.cumsum(counts[order]) - counts[order]) * 3 // max(1, counts.sum()), 2
    )
    by_measured = data.measured[data.wanted.user_index]
    wanted = np.bincount(data.wanted.item_index[by_measured], minlength=known.n_items)
    result = []
    for number, name in enumerate(("popular", "middle", "rare")):
        items = group == number
        if items.any():
            own = items[held_out.item_index]
            n_wanted = int(wanted[items].sum())
            of = errors(stars[own], held_out.where(own))
            result.append(
                {
                    "items": name,
                    "n_items": int(items.sum()),
                    "from": int(counts[items].min()),
                    "to": int(counts[items].max()),
                    "wanted": n_wanted,
                    "rating": {measure: mean.value() for measure, mean in of.items()},
                    **{
                        model: {
                            "recall": int(found.found[items].sum()) / n_wanted
                            if n_wanted
                            else None,
                            "shown": float(found.shown[items].sum() / max(1, found.shown.sum())),
                        }
                        for model, found in lists.items()
                    },
                }
            )
    return result


def _values(means: Mapping[str, Mean], users: np.ndarray) -> dict[str, float | None]:
    return {measure: mean.of(users).value() for measure, mean in means.items()}


def compare(
    means: Mapping[str, Mapping[str, Mean]],
    published: Mapping[str, Mapping[str, Mean]],
    compared: np.ndarray,
    seed: int,
) -> tuple[dict[str, dict[str, metrics.Interval]], list[dict[str, Any]]]:
    """Intervals of the model's own measures, and its difference from each baseline, measure by measure."""
    pairs: list[tuple[str, str, str, Mean, Mean]] = []
    for head, models in (("rating", PREDICTIONS), ("ranking", RANKINGS)):
        for against in models[1:]:
            for measure, own in means[head].items():
                pairs.append((head, measure, against, own, means[against][measure]))
        for measure, other in published.get(head, {}).items():
            pairs.append((head, measure, PUBLISHED, means[head][measure].of(compared), other))
    found = metrics.intervals(
        {f"{head} {measure}": mean for head in HEADS for measure, mean in means[head].items()},
        {
            f"{head} {measure} {against}": (own, other)
            for head, measure, against, own, other in pairs
        },
        seed,
    )
    comparisons = []
    for head, measure, against, own, other in pairs:
        first, second = own.value(), other.value()
        low, high = found[f"{head} {measure} {against}"]
        comparisons.append(
            {
                "head": head,
                "measure": measure,
                "against": against,
                "better": "lower"
                if measure.partition("@")[0] in metrics.LOWER_IS_BETTER
                else "higher",
                "own": first,
                "other": second,
                "difference": None if first is None or second is None else first - second,
                "low": low,
                "high": high,
            }
        )
    return {head: {m: found[f"{head} {m}"] for m in means[head]} for head in HEADS}, comparisons


def last_published(store: Store, run_key: str) -> str | None:
    """The run that readers use now, or if that is a later one, the newest published before this run."""
    earlier = [key for key in store.published() if key < run_key]
    current = store.current()
    return current if current in earlier else (earlier[-1] if earlier else None)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Measure the trial model, write `evaluation`, and judge the night. Raises QualityError if the gate refuses it."""
    trained = store.required_outcome(run_key, "train")
    scale = Scale(*store.required_outcome(run_key, "ingest")["scale"])
    ratings, hidden = read_split(store, run_key, trained["settings"])
    known, held_out = ratings.where(~hidden), ratings.where(hidden)
    liked = trained["liked_from"]
    measured = sample(ratings.n_users, settings.evaluate_users, settings.seed)
    wanted = held_out.where(held_out.rating >= liked)
    # What item-kNN learns from: its pairs of items are many, so likes of those who are measured are enough.
    liking = known.where((known.rating >= liked) & measured[known.user_index])
    data = Data(known, held_out, wanted, liking, measured, scale)
    trial = read_model(store.table(run_key, "trial"))
    stars = trial.predicted_ratings(held_out.user_index, held_out.item_index, data.scale)
    means, lists = measure(data, trial, stars, settings)

    last = last_published(store, run_key)
    published: dict[str, dict[str, Mean]] = {}
    compared = np.zeros(ratings.n_users, bool)
    if last and (earlier := read_holdout_model(store, last)):
        saw = learned_from(store, last, earlier, trial.user_id, trial.item_id, held_out)
        published, compared = measure_published(data, trial, earlier, saw, settings)
    intervals, comparisons = compare(means, published, compared, settings.seed)

    n_known = np.bincount(known.user_index, minlength=known.n_users)
    found: dict[str, Any] = {
        "held_out_ratings": len(held_out.rating),
        **{
            model: {measure: mean.value() for measure, mean in of.items()}
            for model, of in means.items()
        },
    }
    for model, ranked in lists.items():
        found[model][f"coverage@{settings.recall_at}"] = (
            float((ranked.shown > 0).mean()) if ranked.shown.any() else None
        )
        found[model]["users"] = int(np.isfinite(ranked.by_user["ndcg"]).sum())
    found["users_served"] = float((n_known > 0).mean())
    found["intervals"] = intervals
    found["by_activity"] = by_activity(data, means, settings)
    found["by_popularity"] = by_popularity(data, stars, lists)
    if published:
        found[PUBLISHED] = {"run_key": last, "users": int(compared.sum())}
    _log(found, settings)
    with store.replace_folder(store.table(run_key, "evaluation")) as folder:
        table = users_table(trial.user_id, data, means, lists)
        pq.write_table(table, folder / "users.parquet", compression="zstd", row_group_size=1 << 17)

    checks = [
        *gate.quality(comparisons, settings),
        *gate.at_least(
            f"catalogue coverage@{settings.recall_at}",
            found["ranking"][f"coverage@{settings.recall_at}"],
            settings.min_coverage,
            "min_coverage",
        ),
        *gate.at_least("share of users with a list of the trial", found["users_served"], settings.min_users_served,
                       "min_users_served"),
        *_row_counts(store, run_key, last, settings),
        *_volume(store, run_key, last, settings),
    ]  # fmt: skip
    judged = gate.verdict(checks, settings.force_publish)
    result = {"metrics": found, "comparisons": comparisons, "gate": judged}
    refusals = judged["refusals"]
    if refusals and not settings.force_publish:
        raise QualityError(
            f"not published, what readers use stays: {'; '.join(refusals)}. force_publish overrides this"
            + tuned.remark(trained.get("tuned")),
            result,
        )
    for refusal in refusals:
        log.warning("publishing by force_publish although %s", refusal)
    return result


def users_table(
    user_id: pa.Array,
    data: Data,
    means: Mapping[str, Mapping[str, Mean]],
    lists: Mapping[str, Lists],
) -> pa.Table:
    """The table `evaluation`: sums of errors over each user's held-out ratings, and measures of each user's lists."""
    n_users = data.known.n_users

    def count(ratings: Ratings) -> pa.Array:
        return pa.array(np.bincount(ratings.user_index, minlength=n_users).astype(np.int32))

    columns = {
        "user_id": user_id,
        "n_known": count(data.known),
        "n_held_out": count(data.held_out),
        "n_wanted": count(data.wanted),
    }
    for model in PREDICTIONS:
        for measure, name in (("rmse", "squared_error"), ("mae", "absolute_error")):
            columns[f"{model}_{name}"] = pa.array(means[model][measure].numerator)
    for model, found in lists.items():
        for measure, values in found.by_user.items():
            columns[f"{model}_{measure}"] = pa.array(values.astype(np.float32), from_pandas=True)
    return pa.table(columns)


def _row_counts(
    store: Store, run_key: str, last: str | None, settings: Settings
) -> list[gate.Check]:
    """Rows of the tables against what users and items call for, users and items against the last publication's."""
    counts = store.required_outcome(run_key, "normalize")
    recommended, similar = (
        store.required_outcome(run_key, task) for task in ("recommend", "similar_items")
    )
    rated = pq.read_table(
        store.table(run_key, "normalized") / "users.parquet", columns=["n_ratings"]
    )["n_ratings"]
    top_n, similar_n = recommended["settings"]["top_n"], similar["settings"]["similar_n"]
    shown = counts["n_items"] - recommended["barred_items"]
    expected = {
        "rows of similar_items": (
            similar["rows"],
            counts["n_items"] * max(0, min(similar_n, shown - 1)),
        ),
    }
    if not recommended["settings"]["max_per_group"]:  # which may well leave lists short
        rows = int(np.clip(shown - rated.to_numpy(), 0, top_n).sum())
        expected["rows of recommendations"] = (recommended["rows"], rows)
    manifest = store.manifest(last) if last else None
    if manifest:
        for side in ("n_users", "n_items"):
            expected[f"{side} against the last publication's"] = (
                counts[side],
                manifest["counts"]["normalize"][side],
            )
    return [
        check
        for name, (rows, most) in expected.items()
        if most
        for check in gate.at_least(
            f"share of {name} ({rows:,} of {most:,})", rows / most, settings.min_rows, "min_rows"
        )
    ]


def _volume(store: Store, run_key: str, last: str | None, settings: Settings) -> list[gate.Check]:
    """New ratings since the last publication, also those of nights that were refused, against the usual number."""
    manifest = store.manifest(last) if last else None
    if not last or not manifest:
        return []
    sizes = {
        key: store.required_outcome(key, "ingest")["rows_taken"]
        for key in store.required_outcome(run_key, "normalize")["batches"]
    }
    earlier = [size for key, size in sizes.items() if key in manifest["batches"]]
    now, then = run_time(run_key), run_time(last)
    hours = (now - then).total_seconds() / 3600 if now and then else None
    return gate.volume(sum(sizes.values()) - sum(earlier), earlier, hours, settings)


def _log(found: Mapping[str, Any], settings: Settings) -> None:
    ndcg = f"ndcg@{settings.ndcg_at}"
    for measure, models in (("rmse", PREDICTIONS), (ndcg, RANKINGS)):
        head, *others = models
        if found[head][measure] is not None:
            beside = ", ".join(f"{name} {found[name][measure]:.4f}" for name in others)
            log.info("held-out %s %.4f; %s", measure, found[head][measure], beside)
