"""How good a model is with some settings: fitted to train ratings, measured on test ratings."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from cofi_jobs.core.factors import predict
from cofi_jobs.evaluation.metrics import Mean, errors
from cofi_jobs.evaluation.ranking_metrics import rank
from cofi_jobs.model.models import fit_ranking_model, fit_rating_model
from cofi_jobs.model.observations import Observations
from cofi_jobs.settings.fields import Settings
from cofi_jobs.tuning.parts import Part
from cofi_jobs.tuning.space import Direction, ModelName


@contextmanager
def _without_log_of_fits() -> Iterator[None]:
    """A search logs a line for each trial, which is enough."""
    fits = logging.getLogger("cofi_jobs.model.fit")
    level = fits.level
    fits.setLevel(logging.WARNING)
    try:
        yield
    finally:
        fits.setLevel(level)


def tuned_for(model: ModelName, settings: Settings) -> tuple[str, Direction]:
    """The measure that a model is tuned for, and the direction of better."""
    if model == "ranking":
        return f"ndcg@{settings.ndcg_at}", "maximize"
    return "rmse", "minimize"


@_without_log_of_fits()
def measure(part: Part, model: ModelName, settings: Settings) -> dict[str, Mean]:
    """All measures of a model, fitted from the start.

    Raises TrainingError if J does not stay finite with these settings.
    """
    if model == "ranking":
        train = Observations(part.train, None, part.scale)
        factors = fit_ranking_model(train, settings, curve=False).factors
        X, W = factors.X, factors.W
        depths = settings.ndcg_at, settings.recall_at
        return rank(lambda users: W[users] @ X.T, part.train, part.relevant, X, *depths).means()
    assert part.scale is not None  # events have no rating model to tune
    train = Observations(part.train, part.means, part.scale)
    factors = fit_rating_model(train, settings, curve=False).factors
    test = part.test
    stars = predict(factors, test.user_index, test.item_index) + part.means[test.item_index]
    return errors(part.scale.clip(stars), test)


def measure_over_seeds(
    part: Part, model: ModelName, settings: Settings, seeds: Iterable[int]
) -> dict[str, Mean]:
    """All measures of a model, each a mean over fits with several seeds."""
    fits = [measure(part, model, settings.model_copy(update={"seed": seed})) for seed in seeds]
    return mean_over(fits)


def mean_over(fits: Sequence[dict[str, Mean]]) -> dict[str, Mean]:
    """The measures of some fits, each a mean over the fits."""
    return {name: _mean_of([measures[name] for measures in fits]) for name in fits[0]}


def _mean_of(means: Sequence[Mean]) -> Mean:
    numerator = np.mean([mean.numerator for mean in means], axis=0)
    return Mean(numerator, means[0].denominator, means[0].root)
