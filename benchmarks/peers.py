"""The peers, as contestants in their own environment (requirements/peers.txt, `$(VENV)-peers`)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from benchmarks.contest import FEATURES, THREADS, TOP_N, Clock, joined, main, timed
from benchmarks.data import SCALE, read
from benchmarks.spark_peers import session
from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.core.ratings import Ratings

Options = Mapping[str, Any]
Offsets = Callable[[Any], dict[str, Any]]


def implicit_ranking(data: Path, output: Path, options: Options) -> None:
    """implicit's ALS, by conjugate gradients."""
    ratings, model = _positive(read(data, "known"), options), _implicit(options["settings"])
    matrix, clock = _matrix(ratings), Clock(output)
    model.fit(
        matrix,
        show_progress=False,
        callback=lambda number, *_: clock.keep(
            number + 1, W=model.user_factors, X=model.item_factors
        ),
    )


def lenskit_ranking(data: Path, output: Path, options: Options) -> None:
    """lenskit's ALS for implicit feedback, exact."""
    from lenskit.als import ImplicitMFScorer

    _lenskit(
        ImplicitMFScorer, _positive(read(data, "known"), options), output, options, lambda _: {}
    )


def lenskit_rating(data: Path, output: Path, options: Options) -> None:
    """lenskit's ALS for ratings, on top of offsets."""
    from lenskit.als import BiasedMFScorer

    ratings = read(data, "known")

    def offsets(model: Any) -> dict[str, Any]:
        bias = model.bias
        user = _placed(ratings.n_users, model.users.ids(), bias.user_biases)
        return {
            "mean": bias.global_bias,
            "user": user,
            "item": _placed(ratings.n_items, model.items.ids(), bias.item_biases),
        }

    _lenskit(BiasedMFScorer, ratings, output, options, offsets)


def surprise_rating(data: Path, output: Path, options: Options) -> None:
    """surprise's SVD by SGD: a fit for each number of epochs, since it shows only its end."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    ratings = read(data, "known")
    frame = pd.DataFrame(
        {"user": ratings.user_index, "item": ratings.item_index, "rating": ratings.rating}
    )
    train = Dataset.load_from_df(frame, Reader(rating_scale=SCALE)).build_full_trainset()
    users = ratings.n_users, [train.to_raw_uid(n) for n in range(train.n_users)]
    items = ratings.n_items, [train.to_raw_iid(n) for n in range(train.n_items)]
    for epochs in options["epochs"]:
        model, clock = (
            SVD(n_factors=FEATURES, n_epochs=epochs, random_state=0, **options["settings"]),
            Clock(output),
        )
        model.fit(train)
        clock.keep(
            epochs,
            W=_placed(*users, model.pu),
            X=_placed(*items, model.qi),
            user=_placed(*users, model.bu),
            item=_placed(*items, model.bi),
            mean=train.global_mean,
        )


def spark_rating(data: Path, output: Path, options: Options) -> None:
    """Spark's ALS on ratings less their mean: a fit for each number of iterations, as above."""
    from pyspark.ml.recommendation import ALS

    ratings = read(data, "known")
    mean = float(ratings.rating.mean())
    table = pa.table(
        {
            "user": ratings.user_index,
            "item": ratings.item_index,
            "rating": ratings.rating - np.float32(mean),
        }
    )
    path = output / "known.parquet"
    pq.write_table(table, path, row_group_size=1 << 20)
    spark = session(THREADS, "10g", {"spark.sql.shuffle.partitions": str(THREADS)})
    frame = spark.read.parquet(str(path)).repartition(THREADS).cache()
    frame.count()
    for iterations in options["epochs"]:
        als = ALS(
            rank=FEATURES,
            maxIter=iterations,
            seed=0,
            numUserBlocks=THREADS,
            numItemBlocks=THREADS,
            intermediateStorageLevel="MEMORY_ONLY",
            **options["settings"],
        )
        clock = Clock(output)
        model = als.fit(frame)
        model.userFactors.count(), model.itemFactors.count()
        sides = []
        for n, factors in (
            (ratings.n_users, model.userFactors),
            (ratings.n_items, model.itemFactors),
        ):
            factor_table = factors.toArrow()
            vectors = (
                factor_table["features"]
                .combine_chunks()
                .flatten()
                .to_numpy()
                .reshape(len(factor_table), -1)
            )
            sides.append(_placed(n, factor_table["id"].to_numpy(), vectors))
        clock.keep(iterations, W=sides[0], X=sides[1], mean=mean)
    spark.stop()


def implicit_lists(data: Path, output: Path, options: Options) -> None:
    """implicit's recommend, without what was rated."""
    model, rated = _implicit_model(data), csr_matrix(_rated(data))
    n, size = len(model.user_factors), options["batch"]

    def batch(start: int) -> tuple[np.ndarray, np.ndarray]:
        users = np.arange(start, min(start + size, n))
        return model.recommend(
            users, rated[users[0] : users[-1] + 1], N=TOP_N, filter_already_liked_items=True
        )

    def lists() -> tuple[np.ndarray, np.ndarray]:
        return joined([batch(start) for start in range(0, n, size)], output, options)

    timed(output, lists, lambda: joined([batch(0)], output, options))


def implicit_similar(data: Path, output: Path, options: Options) -> None:
    """implicit's similar_items; each item's own place is one of those asked for."""
    model = _implicit_model(data)
    n, size = len(model.item_factors), options["batch"]

    def batch(start: int) -> tuple[np.ndarray, np.ndarray]:
        return model.similar_items(np.arange(start, min(start + size, n)), N=TOP_N + 1)

    def lists() -> tuple[np.ndarray, np.ndarray]:
        return joined([batch(start) for start in range(0, n, size)], output, options)

    timed(output, lists, lambda: joined([batch(0)], output, options))


def faiss_lists(data: Path, output: Path, options: Options) -> None:
    """faiss's flat index of inner products. It cannot leave out rated items."""
    _faiss(np.load(data / "W.npy"), np.load(data / "X.npy"), TOP_N, output, options)


def masked_lists(data: Path, output: Path, options: Options) -> None:
    """faiss's flat index, asked for as many more items as a user has rated, which are then dropped.

    Users with similar numbers of ratings are searched for together.
    """
    import faiss

    W, X, rated = np.load(data / "W.npy"), np.load(data / "X.npy"), _rated(data)
    counts = np.diff(rated.indptr)
    order = np.argsort(counts, kind="stable")
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(X.shape[1])
    index.add(X)

    def batch(users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, items = index.search(W[users], TOP_N + int(counts[users].max()))
        seen = np.zeros((len(users), len(X)), bool)
        rated_by_them = rated[users]
        seen[
            np.repeat(np.arange(len(users)), np.diff(rated_by_them.indptr)), rated_by_them.indices
        ] = True
        first = np.argsort(np.take_along_axis(seen, items, axis=1), axis=1, kind="stable")[
            :, :TOP_N
        ]
        return np.take_along_axis(items, first, axis=1), np.take_along_axis(scores, first, axis=1)

    def lists() -> tuple[np.ndarray, np.ndarray]:
        parts = [batch(order[start : start + 1024]) for start in range(0, len(W), 1024)]
        place = np.argsort(order)
        items, scores = (np.concatenate(part)[place] for part in zip(*parts, strict=True))
        return joined([(items, scores)], output, options)

    timed(output, lists, lambda: joined([batch(order[:1024])], output, options))


def faiss_similar(data: Path, output: Path, options: Options) -> None:
    """faiss's flat index of the items at unit length; each item is among its own neighbours."""
    unit = to_unit_length(np.load(data / "X.npy"))
    _faiss(unit, unit, TOP_N + 1, output, options)


def _faiss(
    queries: np.ndarray, vectors: np.ndarray, k: int, output: Path, options: Options
) -> None:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)

    def lists(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, items = index.search(some, k)
        return joined([(items, scores)], output, options)

    timed(output, lambda: lists(queries), lambda: lists(queries[:1024]))


def _implicit(settings: Options) -> Any:
    from implicit.cpu.als import AlternatingLeastSquares

    return AlternatingLeastSquares(
        factors=FEATURES, dtype=np.float32, num_threads=THREADS, random_state=0, **settings
    )


def _implicit_model(data: Path) -> Any:
    model = _implicit({})
    model.user_factors, model.item_factors = np.load(data / "W.npy"), np.load(data / "X.npy")
    return model


def _rated(data: Path) -> csr_matrix:
    starts, items = np.load(data / "starts.npy"), np.load(data / "items.npy")
    shape = len(starts) - 1, len(np.load(data / "X.npy", mmap_mode="r"))
    return csr_matrix((np.ones(len(items), np.float32), items, starts), shape)


def _positive(ratings: Ratings, options: Options) -> Ratings:
    """What counts as positive: all ratings, or those from `liked_from` on; as 1, or as stars."""
    positive = ratings.where(ratings.rating >= options["liked_from"])
    weight = positive.rating if options["weight"] == "stars" else np.ones_like(positive.rating)
    return Ratings(
        positive.user_index, positive.item_index, weight, positive.n_users, positive.n_items
    )


def _matrix(ratings: Ratings) -> csr_matrix:
    return csr_matrix(
        (ratings.rating, (ratings.user_index, ratings.item_index)),
        (ratings.n_users, ratings.n_items),
    )


def _lenskit(
    scorer: Any, ratings: Ratings, output: Path, options: Options, offsets: Offsets
) -> None:
    import pandas as pd
    from lenskit.data import from_interactions_df
    from lenskit.parallel import initialize
    from lenskit.training import TrainingOptions

    initialize(processes=1, threads=THREADS, backend_threads=1)
    columns = {
        "user_id": ratings.user_index,
        "item_id": ratings.item_index,
        "rating": ratings.rating,
    }
    data = from_interactions_df(pd.DataFrame(columns))
    model = scorer(embedding_size=FEATURES, epochs=options["epochs"], **options["settings"])
    clock = Clock(output)
    trainer = model.create_trainer(data, TrainingOptions(rng=0))
    for epoch in range(options["epochs"]):
        trainer.train_epoch()
        clock.keep(
            epoch + 1, W=_placed(ratings.n_users, model.users.ids(), model.user_embeddings),
            X=_placed(ratings.n_items, model.items.ids(), model.item_embeddings), **offsets(model),
        )  # fmt: skip


def _placed(n: int, rows: Any, values: np.ndarray) -> np.ndarray:
    """Values in the places of their rows of the set; zero where the peer knows nothing."""
    placed = np.zeros((n, *values.shape[1:]), np.float32)
    placed[np.asarray(rows)] = values
    return placed


if __name__ == "__main__":
    main({
        "implicit ranking": implicit_ranking,
        "lenskit ranking": lenskit_ranking,
        "lenskit rating": lenskit_rating,
        "surprise rating": surprise_rating,
        "spark rating": spark_rating,
        "implicit lists": implicit_lists,
        "implicit similar": implicit_similar,
        "faiss lists": faiss_lists,
        "faiss-masked lists": masked_lists,
        "faiss similar": faiss_similar,
    })  # fmt: skip
