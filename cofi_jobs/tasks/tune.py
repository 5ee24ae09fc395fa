"""Tune: search for settings with which both models predict better what their users rate next (docs/model.md says how).

A run's newest ratings are held out as `train` holds them out, and tuning sees none of them. Of the others the newest
are held out in the same way, for validation. Each head has a study of its own: the ranking model goes first, and the
rating model takes over what both share. At the end both old and new settings are measured on the ratings that tuning
never saw, and `settings.json` is written if neither head became worse there.
"""

import hashlib
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cofi_jobs.core.arrays import sample
from cofi_jobs.core.errors import DataError, TrainingError
from cofi_jobs.core.extras import extra
from cofi_jobs.core.factors import initial_factors, predict
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.intervals import intervals
from cofi_jobs.evaluation.metrics import Mean, errors, lower_is_better
from cofi_jobs.evaluation.ranking_metrics import rank
from cofi_jobs.evaluation.split import holdout_mask, relevant_from
from cofi_jobs.model.fit import fit
from cofi_jobs.model.item_means import item_means
from cofi_jobs.model.objectives import (
    ranking_objective,
    ranking_target,
    rating_objective,
    rating_target,
)
from cofi_jobs.settings.fields import Settings, bounds
from cofi_jobs.store.run_tables import read_ratings, read_times
from cofi_jobs.store.store import Store
from cofi_jobs.tuning.tuned import SPACE, in_use

with extra("tune"):
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import FrozenTrial, TrialState

log = logging.getLogger(__name__)

SHARES = {"ranking": 0.6, "rating": 0.4}  # of the time
FINALISTS = 5  # the best trials of a study compete with what is in use, with other seeds: luck is not to decide
SEEDS = 3
TRIALS_A_FINALIST = 6  # so that the fits at the end take about half as long as the trials
FOR_TRIALS = 2 / 3  # of a head's time
KEPT_STUDIES = 8
INHERITED = 3  # trials of the study before with which a new one begins
Params = dict[str, Any]
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Part:
    """What a head is fitted to and measured on."""

    known: Ratings
    held_out: Ratings
    wanted: Ratings
    means: np.ndarray
    scale: Scale

    def measure(self, head: str, settings: Settings, seed: int) -> dict[str, Mean]:
        """Measures of one head, fitted from the start to what is known, on what is held out."""
        known, held_out = self.known, self.held_out
        ranking = head == "ranking"
        if ranking:
            model, y = ranking_objective(settings), ranking_target(known.rating, self.scale)
        else:
            model, y = (
                rating_objective(settings),
                rating_target(known.rating - self.means[known.item_index], self.scale),
            )
        initial = initial_factors(known.n_items, known.n_users, settings.n_factors, seed)
        found = fit(model, initial, known.user_index, known.item_index, y, seed).factors
        if ranking:
            X, W, depths = found.X, found.W, (settings.ndcg_at, settings.recall_at)
            return rank(lambda users: W[users] @ X.T, known, self.wanted, X, *depths).means()
        stars = predict(found, held_out.user_index, held_out.item_index) * np.float32(
            self.scale.unit
        )
        return errors(self.scale.clip(stars + self.means[held_out.item_index]), held_out)


def parts(
    ratings: Ratings, times: np.ndarray | None, settings: Settings, scale: Scale, damping: float
) -> tuple[Part, Part]:
    """What tuning works on, and what it is measured by at the end; the second's held-out ratings are not in the first.

    With more than `tune_users` users, ratings of so many, drawn at random. Raises DataError if nothing is left.
    """
    if ratings.n_users > settings.tune_users:
        chosen = sample(ratings.n_users, settings.tune_users, settings.seed)
        mask = chosen[ratings.user_index]
        index = np.cumsum(chosen)[ratings.user_index[mask]] - 1
        ratings = Ratings(
            index.astype(np.int32),
            ratings.item_index[mask],
            ratings.rating[mask],
            settings.tune_users,
            ratings.n_items,
        )
        times = None if times is None else times[mask]
    liked, values = relevant_from(settings, scale), settings.model_dump()

    def split(ratings: Ratings, times: np.ndarray | None) -> tuple[Part, np.ndarray]:
        hidden = holdout_mask(ratings.user_index, times, values)
        known, held_out = ratings.where(~hidden), ratings.where(hidden)
        wanted = held_out.where(held_out.rating >= liked)
        if not len(known.rating) or not len(wanted.rating):
            raise DataError(
                f"found {len(known.rating)} ratings to learn from and {len(wanted.rating)} of {liked:g} and up to "
                "measure on, expected some of both"
            )
        return Part(known, held_out, wanted, item_means(known, damping), scale), ~hidden

    outer, mask = split(ratings, times)
    inner, _ = split(outer.known, None if times is None else times[mask])
    return inner, outer


def objective(head: str, settings: Settings) -> tuple[str, Direction]:
    """The measure that a head is tuned for, and the direction of better."""
    return (f"ndcg@{settings.ndcg_at}", "maximize") if head == "ranking" else ("rmse", "minimize")


# ---- studies


def open_study(path: Path, direction: Direction) -> optuna.Study:
    """The study of a file, made if there is none.

    The file is a journal, one line for each finished trial: nothing but whole lines count, so a process may be killed
    at any time, and no database's locks are needed on a shared disk.
    """
    path.parent.mkdir(exist_ok=True)
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])  # killed in the middle of a line
    path.with_name(path.name + ".lock").unlink(
        missing_ok=True
    )  # of a killed one; the store's lock lets in one alone
    storage = JournalStorage(JournalFileBackend(str(path)))
    try:
        return optuna.load_study(study_name=path.stem, storage=storage)
    except KeyError:
        return optuna.create_study(study_name=path.stem, storage=storage, direction=direction)


def distributions(
    space: Mapping[str, tuple[str, float]], settings: Settings
) -> dict[str, BaseDistribution]:
    """Optuna's form of a space, within the bounds of the settings; what is 0 and would stay 0 is left out."""
    result: dict[str, BaseDistribution] = {}
    for name, (way, reach) in space.items():
        value, (least, most) = getattr(settings, name), bounds(name)
        times = way == "times"
        if times and not value:
            continue
        low, high = (value / reach, value * reach) if times else (value - reach, value + reach)
        low, high = max(low, least), min(high, most)
        if isinstance(
            value, int
        ):  # few values: for each number of features the step of Adam is compiled once
            step = max(1, value // 4)
            below, above = int(value - low) // step, int(high - value) // step
            result[name] = IntDistribution(value - below * step, value + above * step, step=step)
        else:
            result[name] = FloatDistribution(low, high, log=times)
    return result


def nearest(value: float, distribution: BaseDistribution) -> float:
    """The value of a distribution that is nearest."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    value = min(max(value, low), high)
    if isinstance(distribution, FloatDistribution):
        return value
    return int(low + round((value - low) / distribution.step) * distribution.step)


def ask(
    study: optuna.Study, space: Mapping[str, BaseDistribution], starts: Sequence[Params], seed: int
) -> Params:
    """The next trial's settings: the first of `starts` that was not tried, else what TPE suggests.

    A function of the finished trials and the seed, so that a study that was interrupted goes on as if it had not been.
    """
    trials = study.get_trials(deepcopy=False)
    for start in starts:
        if not any(trial.params == start for trial in trials):
            return start
    sampler = optuna.samplers.TPESampler(seed=seed + len(trials))
    asking = optuna.create_study(direction=study.direction, sampler=sampler)  # in memory
    asking.add_trials(trials)
    return asking.ask(dict(space)).params


def search(
    study: optuna.Study,
    space: Mapping[str, BaseDistribution],
    starts: Sequence[Params],
    seed: int,
    seconds: float,
    value: Callable[[Params], float | None],
) -> None:
    """Try settings until the study's trials have taken so many seconds in all.

    The first is always tried. `value` is None for settings with which learning fails.
    """
    while may_start(
        [trial.user_attrs["seconds"] for trial in study.get_trials(deepcopy=False)], seconds
    ):
        params, start = ask(study, space, starts, seed), time.monotonic()
        found = value(params)
        took = time.monotonic() - start
        state = TrialState.PRUNED if found is None else TrialState.COMPLETE
        study.add_trial(
            optuna.create_trial(
                params=params,
                distributions={name: space[name] for name in params},
                value=found,
                state=state,
                user_attrs={"seconds": took},
            )
        )
        done = best(study)
        log.info(
            "%s, trial %d: %s%s",
            study.study_name,
            len(study.get_trials(deepcopy=False)),
            "learning failed" if found is None else f"{found:.4f}",
            f", best {done[0].value:.4f}" if done else "",
        )


def may_start(took: Sequence[float], seconds: float) -> bool:
    """Whether another trial is likely to end in time, after trials that took so long."""
    return not took or sum(took) + float(np.median(took)) <= seconds


def best(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended well, the best first."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    return sorted(trials, key=lambda trial: sign * (trial.value or 0.0))


# ---- one head


def mean_over(means: Sequence[Mean]) -> Mean:
    """The same mean over fits with different seeds."""
    return Mean(
        np.mean([mean.numerator for mean in means], axis=0), means[0].denominator, means[0].root
    )


def measure(part: Part, head: str, settings: Settings, seeds: Iterable[int]) -> dict[str, Mean]:
    """A head's measures on a part, over fits with several seeds."""
    found = [part.measure(head, settings, seed) for seed in seeds]
    return {name: mean_over([of[name] for of in found]) for name in found[0]}


def tune_head(
    store: Store, head: str, settings: Settings, told: set[str], run_key: str, part: Part
) -> dict[str, Any]:
    """Search, then let the best trials compete once more; returns the settings found and the study's name.

    `settings` hold what the trials begin with, and all that is not tuned; settings that were `told` are not.
    """
    space = distributions(
        {name: way for name, way in SPACE[head].items() if name not in told}, settings
    )
    if not space:
        return {"settings": {}, "study": None, "trials": 0}
    current = {name: getattr(settings, name) for name in space}
    measure_name, direction = objective(head, settings)
    fixed = {
        name: v
        for name, v in settings.model_dump().items()
        if name not in space and _matters(name, head)
    }
    identity = json.dumps([fixed, {name: repr(d) for name, d in space.items()}])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    study = open_study(store.studies / f"{run_key}.{head}.{digest}.journal", direction)
    inherited = _inherited(store, head, study.study_name, direction, current, space)

    def value(params: Params) -> float | None:
        try:
            return part.measure(head, settings.model_copy(update=params), settings.seed)[
                measure_name
            ].value()
        except TrainingError:
            return None

    search(
        study,
        space,
        [current, *inherited],
        settings.seed,
        FOR_TRIALS * SHARES[head] * settings.tune_minutes * 60,
        value,
    )
    good = best(study)
    finalists = [
        t.params
        for t in good[: min(FINALISTS, len(good) // TRIALS_A_FINALIST)]
        if t.params != current
    ]
    finalists.insert(0, current)
    seeds, losses = range(settings.seed + 1, settings.seed + 1 + SEEDS), []
    for params in finalists:
        try:
            mean = measure(part, head, settings.model_copy(update=params), seeds)[
                measure_name
            ].value()
        except TrainingError:
            mean = None
        losses.append(np.inf if mean is None else mean if direction == "minimize" else -mean)
        log.info(
            "%s finalist %d of %d: %.4f",
            study.study_name,
            len(losses),
            len(finalists),
            abs(losses[-1]),
        )
    return {
        "settings": finalists[int(np.argmin(losses))],
        "study": study.study_name,
        "trials": len(study.get_trials(deepcopy=False)),
    }


def _matters(name: str, head: str) -> bool:
    """Whether a head's validation measure depends on a setting: if it changes, earlier trials say nothing."""
    own = name in (
        "n_factors",
        "recency",
        "ratings_per_step",
        "learning_rate_schedule",
        "seed",
        "liked_from",
        "tune_users",
    )
    return (
        own or name.startswith(("test_", f"{head}_")) or (head == "ranking" and name == "ndcg_at")
    )


def _inherited(
    store: Store,
    head: str,
    own: str,
    direction: Direction,
    current: Params,
    space: Mapping[str, BaseDistribution],
) -> list[Params]:
    """The best trials of the newest other study of this head, brought into this one's space."""
    others = [path for path in store.studies.glob(f"*.{head}.*.journal") if path.stem != own]
    if not others:
        return []
    trials = best(open_study(max(others, key=lambda path: path.stat().st_mtime), direction))[
        :INHERITED
    ]
    return [
        current
        | {
            name: nearest(value, space[name])
            for name, value in trial.params.items()
            if name in space
        }
        for trial in trials
    ]


# ---- the whole


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Tune both models on a run's ratings; write `settings.json` unless that would make a head worse.

    The trials begin with what a night would use now. Settings that are told stay as they are told.
    """
    told = set(settings.explicit)
    settings, _ = in_use(store, settings, run_key, "train")
    scale = Scale(*store.required_outcome(run_key, "ingest")["scale"])
    damping = store.required_outcome(run_key, "normalize")["settings"]["damping"]
    folder = store.table(run_key, "normalized")
    # All is read before anything is tried: nights go on meanwhile, and may remove this run.
    ratings = read_ratings(folder)
    times = None if settings.test_days is None else read_times(folder)
    inner, outer = parts(ratings, times, settings, scale, damping)
    log.info(
        "tuning on %d ratings, validated on %d; %d are never seen",
        len(inner.known.rating), len(inner.held_out.rating), len(outer.held_out.rating),
    )  # fmt: skip
    chosen, heads = settings, {}
    with _quietly():
        for head in SPACE:
            heads[head] = tune_head(store, head, chosen, told, run_key, inner)
            chosen = chosen.model_copy(update=heads[head]["settings"])
        measures = compare(outer, settings, chosen)
    values = {name: value for head in heads.values() for name, value in head["settings"].items()}
    before = {name: getattr(settings, name) for name in values}
    worse = [name for name, found in measures.items() if found["worse"]]
    content = {
        "settings": values,
        "run_key": run_key,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "studies": [head["study"] for head in heads.values() if head["study"]],
        "measures": measures,
    }
    if worse:
        log.warning(
            "%s stays as it is, for %s would become worse", store.tuned_file, " and ".join(worse)
        )
    elif values != before:
        store.records.write_tuned(content)
        log.info("wrote %s", store.tuned_file)
    for path in sorted(store.studies.glob("*.journal"), key=lambda path: path.stat().st_mtime)[
        :-KEPT_STUDIES
    ]:
        path.unlink()
    content.pop("settings")  # in an outcome those are what the task ran with
    return {
        **content,
        "found": values,
        "before": before,
        "trials": {head: of["trials"] for head, of in heads.items()},
        "held_out_ratings": len(outer.held_out.rating),
        "written": values != before and not worse,
    }


def compare(part: Part, before: Settings, after: Settings) -> dict[str, dict[str, Any]]:
    """Main measures with two settings, over fits with several seeds; difference (after less before) and its interval.

    Intervals are 95 %, over users. `worse` only where the head is tuned for the measure.
    """
    pairs: dict[str, tuple[Mean, Mean]] = {}
    for head in ("rating", "ranking"):
        seeds = range(before.seed, before.seed + SEEDS)
        old, new = (measure(part, head, settings, seeds) for settings in (before, after))
        for name in (
            ("rmse",)
            if head == "rating"
            else (f"ndcg@{before.ndcg_at}", f"recall@{before.recall_at}")
        ):
            pairs[name] = new[name], old[name]
    tuned_for = [objective(head, before)[0] for head in SPACE]
    result = {}
    for name, (low, high) in intervals({}, pairs, before.seed).items():
        after_, before_ = (mean.value() or 0.0 for mean in pairs[name])
        difference, lower = after_ - before_, lower_is_better(name)
        result[name] = {
            "before": before_,
            "after": after_,
            "difference": difference,
            "low": low,
            "high": high,
            "better": "lower" if lower else "higher",
            "worse": name in tuned_for and (difference > 0 if lower else difference < 0),
        }
    return result


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the lines of each fit, and without Optuna's own."""
    fits = logging.getLogger("cofi_jobs.model.fit")
    level = fits.level
    fits.setLevel(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        fits.setLevel(level)
