"""Tables of a run as the types that other rooms compute with."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.core.factors import Factors, ItemFactors, StoredModel, UserBlock
from cofi_jobs.core.ratings import Ratings, trusted_counts
from cofi_jobs.store import parquet
from cofi_jobs.store.parquet import ParquetFile
from cofi_jobs.store.schemas import prior_of
from cofi_jobs.store.vectors import from_column

ROWS_AT_ONCE = 1 << 20  # of a column, so that a copy of it takes little


def read_ratings(normalized: Path) -> Ratings:
    """All current ratings of a run, by user, each user's newest last.

    Of a run of an older version it is not known which are tied, and all users are trusted alike.
    """
    n_users, n_items = (
        parquet.read_metadata(normalized / f"{side}.parquet").num_rows
        for side in ("users", "items")
    )
    path = normalized / "ratings.parquet"
    user_index, item_index, rating = (
        # One after the other: Arrow's column is freed before the next one is read.
        parquet.read_table(path, columns=[name])[name].to_numpy()
        for name in ("user_index", "item_index", "rating")
    )
    tied = None
    if "draw" in parquet.read_columns(path):
        tied = equal_times(user_index, parquet.read_table(path, columns=["timestamp"])["timestamp"])
    return Ratings(user_index, item_index, rating, n_users, n_items, tied, read_trust(normalized))


def read_trust(normalized: Path) -> np.ndarray | None:
    """How far each user is trusted (n_users,), float32; None where all are alike."""
    path = normalized / "users.parquet"
    if "trust" not in parquet.read_columns(path):
        return None
    trust = parquet.read_table(path, columns=["trust"])["trust"].to_numpy()
    return None if (trust == 1).all() else trust


def read_evidence(normalized: Path) -> np.ndarray:
    """How many ratings each item has (n_items,), each as much as its user is trusted."""
    path = normalized / "items.parquet"
    name = "n_trusted" if "n_trusted" in parquet.read_columns(path) else "n_ratings"
    return parquet.read_table(path, columns=[name])[name].to_numpy()


def rows_of_users(file: ParquetFile, users: slice) -> slice:
    """Where the ratings of neighbouring users stand in the ratings of a run, by their row numbers.

    Only the row groups at the two ends are read: their bounds are in the file's footer.
    """
    return slice(*(_rows_before(file, user) for user in (users.start, users.stop)))


def _rows_before(file: ParquetFile, user: int) -> int:
    """How many ratings are those of users before one."""
    column, before = file.schema_arrow.names.index("user_index"), 0
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        bounds = group.column(column).statistics
        if bounds is None or not bounds.has_min_max or bounds.max >= user:
            index = file.read_row_group(number, columns=["user_index"])["user_index"].to_numpy()
            within = int(np.searchsorted(index, user))
            if within < len(index):
                return before + within
        before += group.num_rows
    return before


def read_some_ratings(
    file: ParquetFile, users: ParquetFile, part: slice, rows: slice, n_items: int
) -> Ratings:
    """The current ratings of some users, whose numbers start at 0.

    `file` has the ratings of all users, `users` a row for each of them. `part` are the users, and
    `rows` their ratings.
    """
    has_ties = "draw" in file.schema_arrow.names
    columns = ["user_index", "item_index", "rating", *["timestamp"] * has_ties]
    table = parquet.read_rows(file, columns, rows)
    user_index, item_index, rating = (table[name].to_numpy() for name in columns[:3])
    tied = equal_times(user_index, table["timestamp"]) if has_ties else None
    user_index = user_index - np.int32(part.start)
    trust = None
    if "trust" in users.schema_arrow.names:
        trust = parquet.read_rows(users, ["trust"], part)["trust"].to_numpy()
    return Ratings(user_index, item_index, rating, part.stop - part.start, n_items, tied, trust)


def newest_time(file: ParquetFile) -> np.datetime64 | None:
    """When the newest of all current ratings was given, by the footer; None if no time is known."""
    column = file.schema_arrow.names.index("timestamp")
    groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
    bounds = [group.column(column).statistics for group in groups]
    newest = [bound.max for bound in bounds if bound is not None and bound.has_min_max]
    return np.datetime64(max(newest).replace(tzinfo=None), "us") if newest else None


def read_draws(normalized: Path) -> np.ndarray | None:
    """The number drawn for each of these ratings, uint16, by which those of equal times are sorted.

    None in a run of an older version.
    """
    path = normalized / "ratings.parquet"
    if "draw" not in parquet.read_columns(path):
        return None
    return parquet.read_table(path, columns=["draw"])["draw"].to_numpy()


def equal_times(user_index: np.ndarray, timestamp: pa.ChunkedArray) -> np.ndarray:
    """Mask of the ratings that the user gave at the same time as the rating before.

    Ratings without a time are older than all others and count as given at the same time.
    """
    tied = np.zeros(len(user_index), bool)
    for start in range(1, len(tied), ROWS_AT_ONCE):
        rows = timestamp.slice(start - 1, ROWS_AT_ONCE + 1).cast("int64")
        time = rows.fill_null(np.iinfo(np.int64).min).to_numpy()
        user = user_index[start - 1 : start + ROWS_AT_ONCE]
        same = (time[1:] == time[:-1]) & (user[1:] == user[:-1])
        tied[start : start + ROWS_AT_ONCE] = same
    return tied


def read_times(normalized: Path) -> np.ndarray:
    """When each of these ratings was given, datetime64; NaT where that is unknown."""
    time = parquet.read_table(normalized / "ratings.parquet", columns=["timestamp"])["timestamp"]
    return time.cast("timestamp[us]").to_numpy()


def has_model(folder: Path) -> bool:
    """Whether `train` has written a model there."""
    return (folder / "user_factors.parquet").exists()


def read_model(folder: Path) -> StoredModel:
    """A final or a holdout model of a run."""
    return stored_model(
        *(parquet.read_table(folder / f"{side}_factors.parquet") for side in ("user", "item"))
    )


def stored_model(users: pa.Table, items: pa.Table) -> StoredModel:
    """The models whose rows for users and for items are in these tables."""
    bias = users["bias"].to_numpy()
    X, W = _rating_factors(items), _rating_factors(users)
    rating = None if X is None or W is None else Factors(X, W, bias)
    X, W = from_column(items["ranking_factors"]), from_column(users["ranking_factors"])
    ranking = Factors(X, W, np.zeros(len(W), np.float32), prior_of(items.schema))
    user_id, item_id = users["user_id"].combine_chunks(), items["item_id"].combine_chunks()
    return StoredModel(user_id, item_id, rating, ranking, items["mean"].to_numpy())


def _rating_factors(rows: pa.Table | pa.RecordBatch) -> np.ndarray | None:
    """The factors of the rating model; None where there are none, as in a store of events."""
    column = rows["rating_factors"]
    return None if column.null_count else from_column(column)


def read_item_factors(model: Path) -> ItemFactors:
    """All items of a model."""
    return item_factors(parquet.read_table(model / "item_factors.parquet"))


def item_factors(table: pa.Table) -> ItemFactors:
    """All items of a model, from its table."""
    return ItemFactors(
        table["item_id"].combine_chunks(),
        _rating_factors(table),
        from_column(table["ranking_factors"]),
        table["mean"].to_numpy(),
        table["n_ratings"].to_numpy(),
        prior_of(table.schema),
    )


def read_item_groups(normalized: Path) -> pa.ChunkedArray:
    """Each item's groups as in the catalogue, such as "Action|Adventure"; null without any."""
    return parquet.read_table(normalized / "items.parquet", columns=["groups"])["groups"]


def ratings_of_users(users: ParquetFile) -> Iterator[np.ndarray]:
    """How many ratings each user has, some users after the others."""
    for number in range(users.num_row_groups):
        yield users.read_row_group(number, columns=["n_ratings"])["n_ratings"].to_numpy()


def read_ranking_rows(factors: ParquetFile, users: slice) -> np.ndarray:
    """The rows of some users in a ranking model, (n, n_factors)."""
    rows = parquet.read_rows(factors, ["ranking_factors"], users)
    return from_column(rows["ranking_factors"])


def read_rating_rows(factors: ParquetFile, users: slice, X: np.ndarray | None) -> Factors | None:
    """The rating model with the rows of some users; None where `X` (n_items, n_factors) is."""
    if X is None:
        return None
    rows = parquet.read_rows(factors, ["rating_factors", "bias"], users)
    return Factors(X, from_column(rows["rating_factors"]), rows["bias"].to_numpy())


def n_users(model: Path) -> int:
    """How many users a model has."""
    return parquet.read_metadata(model / "user_factors.parquet").num_rows


def user_blocks(model: Path, normalized: Path, n_items: int, size: int) -> Iterator[UserBlock]:
    """Users in blocks, each with its ratings. Both files are in order of user and read once."""
    users = parquet.open_file(model / "user_factors.parquet")
    file = parquet.open_file(normalized / "ratings.parquet")
    columns = ["user_index", "item_index", "rating"]
    has_ties = "draw" in file.schema_arrow.names
    columns += ["timestamp"] if has_ties else []
    batches = file.iter_batches(columns=columns)
    rated = file.schema_arrow.empty_table().select(columns)
    start = 0
    for batch in users.iter_batches(batch_size=size):
        n_ratings, read = pc.sum(batch["n_ratings"]).as_py(), [rated]
        while sum(map(len, read)) < n_ratings:
            read.append(pa.Table.from_batches([next(batches)]))
        rated = pa.concat_tables(read)
        block, rated = rated.slice(0, n_ratings), rated.slice(n_ratings)
        user, item, rating = (block[name].to_numpy() for name in columns[:3])
        tied = equal_times(user, block["timestamp"]) if has_ties else None
        ratings = Ratings(user - start, item, rating, len(batch), n_items, tied)
        bias = batch["bias"].to_numpy(zero_copy_only=False)
        W = _rating_factors(batch), from_column(batch["ranking_factors"])
        yield UserBlock(batch["user_id"], *W, bias, ratings)
        start += len(batch)


def count_ratings_from(normalized: Path, rating: float, n_items: int) -> np.ndarray:
    """How many ratings each item has that are as high as `rating` or higher, float32.

    Each counts as much as its user is trusted.
    """
    counts, trust = np.zeros(n_items, np.float32), read_trust(normalized)
    file = parquet.open_file(normalized / "ratings.parquet")
    for batch in file.iter_batches(columns=["item_index", "rating", "user_index"]):
        item_index, ratings, user_index = (column.to_numpy() for column in batch.columns)
        high = ratings >= rating
        counts += trusted_counts(user_index[high], item_index[high], n_items, trust)
    return counts
