"""Factors as columns of Arrow tables."""

import numpy as np
import pyarrow as pa


def to_column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Vectors (n, n_factors) as an Arrow column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def no_vectors(n: int, n_factors: int) -> pa.FixedSizeListArray:
    """The column of n vectors that are not there: nulls."""
    return pa.nulls(n, pa.list_(pa.float32(), n_factors))


def from_column(column: pa.ChunkedArray | pa.FixedSizeListArray) -> np.ndarray:
    """Vectors (n, n_factors) from an Arrow column."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.flatten().to_numpy().reshape(len(array), -1)
