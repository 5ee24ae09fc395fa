"""The map: components that keep what lies in a plane, and groups that get a colour."""

import numpy as np
import pytest

from cofi_jobs.report.item_map import frequent, principal_components


def test_principal_components_keep_what_lies_in_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((50, 2)) * (3, 1)
    X = (plane @ np.linalg.qr(rng.standard_normal((8, 2)))[0].T + 5).astype(np.float32)
    points, shares = principal_components(X)

    def distances(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[:, None] - points, axis=2)

    np.testing.assert_allclose(distances(points), distances(plane), atol=1e-4)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] > shares[1]
    flat, _ = principal_components(np.ones((1, 1), np.float32))
    assert flat.tolist() == [[0, 0]]


def test_frequent_groups_and_the_others():
    names, colour = frequent(["a", "b", "b", "c", "", "d", "d"], 2)
    assert names == ["b", "d", "other"]
    assert colour.tolist() == [2, 0, 0, 2, 2, 1, 1]
