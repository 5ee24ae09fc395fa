"""Evaluate: how good the holdout model is, beside baselines and what is published; and the gate.

The holdout model (table `trial`) was fitted without the test ratings. This task writes the table
`evaluation`, each user's own measures, so that any mean and its interval can be computed again. The
gate may refuse the run. Numbers of all users are never held at once, only those of a block of them.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from cofi_jobs.core.arrays import sampled, summed
from cofi_jobs.core.errors import QualityError
from cofi_jobs.core.scale import Scale, scale_of
from cofi_jobs.engine.engines import connected, in_parallel
from cofi_jobs.evaluation import gate
from cofi_jobs.evaluation.baselines import PREDICTIONS, RANKINGS, Biases
from cofi_jobs.evaluation.evaluation import Evaluation, evaluate
from cofi_jobs.evaluation.groups import Activity
from cofi_jobs.evaluation.measured_lists import MeasuredUsers, measure_lists
from cofi_jobs.evaluation.prediction_errors import Predictors
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
from cofi_jobs.store.records import Outcome
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.run_tables import ratings_of_users, read_item_groups
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.evaluated_run import EvaluatedRun
from cofi_jobs.tasks.evaluated_users import EvaluatedUsers, mask_of, write_users
from cofi_jobs.tasks.run_split import blocks_of
from cofi_jobs.tuning import tuned

log = logging.getLogger(__name__)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Measure the holdout model, write `evaluation`, and judge the run.

    Raises QualityError if the gate refuses the run.
    """
    trained = store.required_outcome(run_key, "train")
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    last = last_published(store, run_key)
    evaluation, counts = measure(store, settings, run_key, trained, last, scale)
    log_main_measures(evaluation, settings)
    checks = [
        gate.liked(share_liked(counts), trained["liked_from"], scale, settings.min_liked),
        *gate.quality(evaluation.comparisons, settings),
        *list_checks(evaluation, settings),
        *row_counts(read_rows(store, run_key, last), settings),
        *volume_checks(store, run_key, last, settings),
    ]
    return judge(evaluation, checks, settings, trained)


def measure(
    store: Store,
    settings: Settings,
    run_key: str,
    trained: Outcome,
    last: str | None,
    scale: Scale | None,
) -> tuple[Evaluation, SplitCounts]:
    """Measure the holdout model beside that of the run `last`, and write `evaluation`.

    `trained` is the outcome of `train`.
    """
    normalized = store.checked_table(run_key, "normalized")
    measured_run = EvaluatedRun.of(
        store, run_key, last, from_record(trained["settings"]), settings.engine
    )
    items, published = measured_run.items, measured_run.published
    model = published.model if published else None
    blocks, liked_from = blocks_of(normalized), trained["liked_from"]
    chosen = sampled(measured_run.split.n_users, settings.evaluate_users, settings.seed)
    with connected(settings):
        measured = read_measured(settings, measured_run, blocks, chosen, liked_from)
        split, counts = measured.split, measured.split.counts
        log_split(split)
        groups = read_item_groups(normalized)
        lists = measure_lists(measured, items, model, settings, groups)
        biases = Biases.of(counts.item_train, counts.item_sums)
        users = EvaluatedUsers(
            measured_run,
            Predictors(items.means, biases, model, scale),
            Activity.of(counts.n_tested),
            chosen,
            liked_from,
            settings.seed,
        )
        errors = write_users(store, settings, run_key, users, blocks, lists.lists)
    against = model.run_key if model else None
    evaluation = evaluate(split, errors, lists, chosen, against, settings.seed)
    return evaluation, counts


def read_measured(
    settings: Settings,
    measured_run: EvaluatedRun,
    blocks: Sequence[slice],
    chosen: np.ndarray,
    relevant_from: float,
) -> MeasuredUsers:
    """As train has split the run: ratings of the users `chosen`, and counts of all ratings."""

    def block(users: slice) -> MeasuredUsers:
        return measured_run.measured(users, mask_of(chosen, users), relevant_from)

    return summed(in_parallel(settings, block, blocks))


def last_published(store: Store, run_key: str) -> str | None:
    """The run that readers use now; if that is a later one, the newest published before this."""
    earlier, current = store.published_before(run_key), store.current()
    return current if current in earlier else (earlier[-1] if earlier else None)


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
    return counts.n_liked / (int(counts.item_train.sum()) + counts.n_test)


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
        top_n = recommended["settings"]["top_n"]
        with parquet.open_file(store.table(run_key, "normalized") / "users.parquet") as users:
            parts = ratings_of_users(users)
            full = sum(places_in_lists(n_ratings, n_shown, top_n) for n_ratings in parts)
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
