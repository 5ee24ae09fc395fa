"""Evaluate: how good the holdout model is, beside baselines and what is published; and the gate.

The holdout model (table `trial`) was fitted without the test ratings. This task writes the table
`evaluation`, each user's own measures, so that any mean and its interval can be computed again. The
gate may refuse the run.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cofi_jobs.core.arrays import sample, summed
from cofi_jobs.core.errors import QualityError
from cofi_jobs.core.factors import row_numbers
from cofi_jobs.core.scale import Scale, scale_of
from cofi_jobs.engine.engines import connected, in_parallel
from cofi_jobs.evaluation import gate
from cofi_jobs.evaluation.baselines import PREDICTIONS, RANKINGS, Biases
from cofi_jobs.evaluation.evaluation import Evaluation, evaluate
from cofi_jobs.evaluation.prediction_errors import PredictionErrors, Predictors
from cofi_jobs.evaluation.published import PublishedModel
from cofi_jobs.evaluation.split import Split, SplitCounts
from cofi_jobs.evaluation.volume import (
    Rows,
    places_in_lists,
    places_in_similar_items,
    row_counts,
    volume,
)
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.store import parquet
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.run_tables import n_ratings_of_users, read_item_groups, read_model
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import read_holdout_model
from cofi_jobs.tasks.run_split import EarlierSplit, RunSplit, blocks_of
from cofi_jobs.tuning import tuned

log = logging.getLogger(__name__)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Measure the holdout model, write `evaluation`, and judge the run.

    Raises QualityError if the gate refuses the run.
    """
    trained = store.required_outcome(run_key, "train")
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    run_split = RunSplit.of(store, run_key, from_record(trained["settings"]), settings.engine)
    blocks = blocks_of(store.table(run_key, "normalized"))
    model = read_model(store.checked_table(run_key, "trial"))
    last = last_published(store, run_key)
    earlier = read_holdout_model(store, last) if last else None
    published = PublishedModel.of(last, earlier, model) if last and earlier else None
    with connected(settings):
        split = read_measured_split(run_split, blocks, settings, trained["liked_from"], scale)
        log_split(split)
        biases = Biases.of(split.counts.item_train, split.counts.item_sums)
        predictors = Predictors(model, biases, published, scale)
        errors = read_errors(store, settings, run_split, blocks, predictors)
    groups = read_item_groups(store.checked_table(run_key, "normalized"))
    evaluation = evaluate(split, errors, model, published, settings, groups)
    log_main_measures(evaluation, settings)
    with store.replace_folder(store.table(run_key, "evaluation")) as folder:
        table = users_table(model.user_id, split.counts, evaluation)
        parquet.write_table(table, folder / "users.parquet", row_group_size=1 << 17)
    checks = [
        gate.liked(share_liked(split.counts), trained["liked_from"], scale, settings.min_liked),
        *gate.quality(evaluation.comparisons, settings),
        *list_checks(evaluation, settings),
        *row_counts(read_rows(store, run_key, last), settings),
        *volume_checks(store, run_key, last, settings),
    ]
    return judge(evaluation, checks, settings, trained)


def read_measured_split(
    run_split: RunSplit,
    blocks: Sequence[slice],
    settings: Settings,
    relevant_from: float,
    scale: Scale | None,
) -> Split:
    """As train has split the run: ratings of `evaluate_users` users, and counts of all ratings."""
    measured = sample(run_split.n_users, settings.evaluate_users, settings.seed)

    def block(users: slice) -> Split:
        return Split.of(*run_split.read(users), measured[users], relevant_from, scale)

    return summed(in_parallel(settings, block, blocks))


def read_errors(
    store: Store,
    settings: Settings,
    run_split: RunSplit,
    blocks: Sequence[slice],
    predictors: Predictors,
) -> PredictionErrors:
    """The errors of what is predicted for all test ratings of the run."""
    published, earlier = predictors.published, None
    if published:
        items = row_numbers(published.model.item_id, predictors.model.item_id)
        rows = published.rows_of_users
        earlier = EarlierSplit.of(store, published.run_key, rows, items, settings.engine)
    elif predictors.scale is None:  # nothing is predicted, and no other run has seen anything
        return PredictionErrors({}, {}, {}, np.zeros(run_split.n_users, bool))

    def block(users: slice) -> PredictionErrors:
        ratings, is_test = run_split.read(users)
        train, test = ratings.where(~is_test), ratings.where(is_test)
        seen = earlier.learned_from(users, test) if earlier else None
        return predictors.errors(users.start, train, test, seen)

    return summed(in_parallel(settings, block, blocks))


def last_published(store: Store, run_key: str) -> str | None:
    """The run that readers use now; if that is a later one, the newest published before this."""
    earlier, current = store.published_before(run_key), store.current()
    return current if current in earlier else (earlier[-1] if earlier else None)


def users_table(user_id: pa.Array, counts: SplitCounts, evaluation: Evaluation) -> pa.Table:
    """The table `evaluation`: sums of errors over each user's test ratings, and list measures."""
    columns = {
        "user_id": user_id,
        "n_known": pa.array(counts.train.astype(np.int32)),
        "n_held_out": pa.array(counts.test.astype(np.int32)),
        "n_wanted": pa.array(counts.relevant.astype(np.int32)),
    }
    for model in predictions(evaluation):
        for measure, name in (("rmse", "squared_error"), ("mae", "absolute_error")):
            columns[f"{model}_{name}"] = pa.array(evaluation.means[model][measure].numerator)
    for model, lists in evaluation.lists.items():
        for measure, values in lists.by_user.items():
            columns[f"{model}_{measure}"] = pa.array(values.astype(np.float32), from_pandas=True)
    return pa.table(columns)


def predictions(evaluation: Evaluation) -> list[str]:
    """The rating model and its baselines; none for events."""
    return [model for model in PREDICTIONS if model in evaluation.means]


def log_split(split: Split) -> None:
    """Say whether the split is one in time; warn if much of it is not."""
    order = split.counts.order
    if order:
        log.log(logging.WARNING if order.little_order else logging.INFO, "%s", order.in_words())


def log_main_measures(evaluation: Evaluation, settings: Settings) -> None:
    """RMSE and NDCG of our models, beside those of the baselines."""
    for measure, models in (
        ("rmse", predictions(evaluation)),
        (f"ndcg@{settings.ndcg_at}", RANKINGS),
    ):
        value, *others = [evaluation.value(model, measure) for model in models] or [None]
        if value is not None:
            named = zip(models[1:], others, strict=True)
            beside = ", ".join(f"{name} {other:.4f}" for name, other in named)
            log.info("test %s %.4f; %s", measure, value, beside)


def share_liked(counts: SplitCounts) -> float:
    """The share of all ratings that count as liked."""
    return counts.n_liked / int(counts.train.sum() + counts.test.sum())


def list_checks(evaluation: Evaluation, settings: Settings) -> list[gate.Check]:
    """Whether the lists show enough of the catalogue, and whether enough users have one."""
    coverage = evaluation.lists["ranking"].coverage()
    name = f"catalogue coverage@{settings.recall_at}"
    served = "share of users with a list of the holdout model"
    return [
        *gate.at_least(name, coverage, settings.min_coverage, "min_coverage"),
        *gate.at_least(
            served, evaluation.users_served, settings.min_users_served, "min_users_served"
        ),
    ]


def read_rows(store: Store, run_key: str, last: str | None) -> list[Rows]:
    """Rows of the lists beside those of full lists; users and items beside the last publication's.

    Lists that `max_per_group` limits may well be short, so their rows are left out.
    """
    counts = store.required_outcome(run_key, "normalize")
    recommended = store.required_outcome(run_key, "recommend")
    similar = store.required_outcome(run_key, "similar_items")
    n_items = counts["n_items"]
    n_shown = n_items - recommended["barred_items"]
    full = places_in_similar_items(n_items, n_shown, similar["settings"]["similar_n"])
    rows = [Rows("rows of similar_items", similar["rows"], full)]
    if not recommended["settings"]["max_per_group"]:
        n_ratings = n_ratings_of_users(store.checked_table(run_key, "normalized"))
        full = places_in_lists(n_ratings, n_shown, recommended["settings"]["top_n"])
        rows.append(Rows("rows of recommendations", recommended["rows"], full))
    manifest = store.manifest(last) if last else None
    if manifest:
        before = manifest["counts"]["normalize"]
        rows += [
            Rows(f"{side} against the last publication's", counts[side], before[side])
            for side in ("n_users", "n_items")
        ]
    return rows


def volume_checks(
    store: Store, run_key: str, last: str | None, settings: Settings
) -> list[gate.Check]:
    """New ratings since the last publication, refused runs' too, against the usual number."""
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
    return volume(sum(sizes.values()) - sum(earlier), earlier, hours, settings)


def judge(
    evaluation: Evaluation, checks: list[gate.Check], settings: Settings, trained: dict[str, Any]
) -> dict[str, Any]:
    """The record of the evaluation. Raises QualityError with it if the gate refuses the run."""
    not_judged = gate.not_judged(evaluation.comparisons, settings)
    for sentence in not_judged:
        log.warning("%s", sentence)
    verdict = gate.verdict(checks, settings.force_publish, not_judged)
    record = {
        "metrics": evaluation.to_record(),
        "comparisons": [comparison.to_record() for comparison in evaluation.comparisons],
        "gate": verdict,
    }
    refusals = verdict["refusals"]
    if refusals and not settings.force_publish:
        raise QualityError(
            f"not published, what readers use stays: {'; '.join(refusals)}. "
            f"force_publish overrides this{tuned.remark(trained.get('tuned'))}",
            record,
        )
    for refusal in refusals:
        log.warning("publishing by force_publish although %s", refusal)
    return record
