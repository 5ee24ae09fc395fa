"""The table `evaluation`: a row for each user, written a block of users after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cofi_jobs.core.arrays import summed, tally
from cofi_jobs.engine.engines import in_parallel
from cofi_jobs.evaluation.groups import Activity
from cofi_jobs.evaluation.prediction_errors import PredictionErrors, Predictors
from cofi_jobs.evaluation.ranking_metrics import Lists
from cofi_jobs.evaluation.user_sums import Measures, UserGroups, UserSums
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet, sql
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.evaluated_run import EvaluatedRun


def mask_of(chosen: np.ndarray, users: slice) -> np.ndarray:
    """Which of some users are chosen, by the sorted row numbers `chosen`."""
    mask = np.zeros(users.stop - users.start, bool)
    mask[chosen[_among(chosen, users)] - users.start] = True
    return mask


def _among(chosen: np.ndarray, users: slice) -> slice:
    """Where those that are among some users stand in `chosen`."""
    return slice(*np.searchsorted(chosen, [users.start, users.stop]))


@dataclass(frozen=True)
class EvaluatedUsers:
    """Makes what evaluate tells of a block of users, on any machine."""

    run: EvaluatedRun
    predictors: Predictors
    activity: Activity
    chosen: np.ndarray  # (n_measured,) row numbers of the users whose lists are measured
    relevant_from: float
    seed: int

    def of(self, users: slice) -> tuple[pa.Table, PredictionErrors]:
        """The users' rows, without the measures of lists, and sums of the errors."""
        block, n = self.run.users(users), users.stop - users.start
        test, compared = block.test, block.compared()
        relevant = test.user_index[test.rating >= self.relevant_from]
        n_train, n_test, n_relevant = (
            tally(index, n) for index in (block.train.user_index, test.user_index, relevant)
        )
        errors = self.predictors.errors(block)
        rows, n_users = np.arange(users.start, users.stop), self.run.split.n_users
        groups = UserGroups.of(rows, n_users, self.seed, self.activity, (n_train, n_test), compared)
        table = users_table(
            self.run.split.read_ids(users), n_train, n_test, n_relevant, errors.means
        )
        return table, PredictionErrors(
            UserSums.of(errors.means, errors.published, groups),
            errors.by_item,
            int(np.count_nonzero(compared)),
            compared[mask_of(self.chosen, users)],
        )


def users_table(
    user_id: pa.ChunkedArray,
    n_train: np.ndarray,
    n_test: np.ndarray,
    n_relevant: np.ndarray,
    means: Measures,
) -> pa.Table:
    """Users' numbers of ratings, and the sums of errors over each user's test ratings."""
    columns = {
        "user_id": user_id,
        "n_known": pa.array(n_train.astype(np.int32)),
        "n_held_out": pa.array(n_test.astype(np.int32)),
        "n_wanted": pa.array(n_relevant.astype(np.int32)),
    }
    for model, measures in means.items():
        for measure, name in (("rmse", "squared_error"), ("mae", "absolute_error")):
            columns[f"{model}_{name}"] = pa.array(measures[measure].numerator)
    return pa.table(columns)


def write_users(
    store: Store,
    settings: Settings,
    run_key: str,
    users: EvaluatedUsers,
    blocks: Sequence[slice],
    lists: Mapping[str, Lists],
) -> PredictionErrors:
    """Write the rows of all users, with the measures of `lists`; returns the sums of the errors."""
    evaluated = zip(blocks, in_parallel(settings, users.of, blocks), strict=True)

    def written(write: Callable[[pa.Table], None]) -> Iterator[PredictionErrors]:
        for block, (table, errors) in evaluated:
            write(with_lists(table, lists, users.chosen, block))
            yield errors

    with (
        store.replace_folder(store.table(run_key, "evaluation")) as folder,
        parquet.table_writer(folder / "users.parquet", sql.ROW_GROUP) as write,
    ):
        return summed(written(write))


def with_lists(
    table: pa.Table, lists: Mapping[str, Lists], chosen: np.ndarray, users: slice
) -> pa.Table:
    """The rows of some users with the measures of their lists, null where there is none."""
    places = _among(chosen, users)
    rows = chosen[places] - users.start
    for model, of_model in lists.items():
        for measure, values in of_model.by_user.items():
            column = np.full(len(table), np.nan, np.float32)
            column[rows] = values[places]
            table = table.append_column(f"{model}_{measure}", pa.array(column, from_pandas=True))
    return table
