"""Training that was killed goes on in the step that it had reached."""

import re
from pathlib import Path

import numpy as np
import pytest

from cofi_jobs.erasure.scan import Traces
from cofi_jobs.model.checkpoints import FitState
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_tables import read_model
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.checkpoints import TABLE, RunCheckpoints
from cofi_jobs.tasks.erase import look
from cofi_jobs.tasks.runner import run_task
from tests.support.data import tasteful_ratings
from tests.support.killed_training import EACH_STEP, FITS, kill_training
from tests.support.learned import losses_of
from tests.support.tuning import prepared


@pytest.fixture
def killed(tmp_path: Path) -> Store:
    """A store whose training was killed in the ranking model's third step."""
    store = prepared(tmp_path / "store", tasteful_ratings())
    kill_training(str(store.root), "n1", 11)
    return store


def kept(store: Store) -> list[Path]:
    return sorted(store.path(f"runs/n1/{TABLE}").glob("*"))


def steps_gone_on_from(log: str) -> list[tuple[str, int]]:
    return [(m[1], int(m[2])) for m in re.finditer(r"(\w+) model: going on after step (\d+)", log)]


def factors(store: Store) -> list[np.ndarray]:
    model = read_model(store.table("n1", "model"))
    assert model.rating is not None
    return [model.rating.X, model.rating.W, model.ranking.X, model.ranking.W]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_states", "expected"),
    [
        (3, [("rating", 3)]),
        (11, [("rating", 8), ("ranking", 3)]),
        (18, [("rating", 8), ("ranking", 8), ("rating", 2)]),
    ],
)
def test_killed_training_goes_on(
    tmp_path: Path, n_states: int, expected: list, caplog: pytest.LogCaptureFixture
) -> None:
    whole = prepared(tmp_path / "whole", tasteful_ratings())
    run_task("train", whole, load_settings(FITS), "n1")
    assert not steps_gone_on_from(caplog.text)
    store = prepared(tmp_path / "store", tasteful_ratings())
    kill_training(str(store.root), "n1", n_states)
    caplog.set_level("INFO")
    run_task("train", store, load_settings(FITS), "n1")
    assert steps_gone_on_from(caplog.text) == expected
    for one, other in zip(factors(store), factors(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(losses_of(store), losses_of(whole), rtol=1e-4)
    assert not kept(store), "what is done needs no state"


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"PAR1 and no table", "cut", "flipped"])
def test_a_damaged_state_is_not_used(
    killed: Store, content: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    for path in kept(killed):
        whole = path.read_bytes()
        middle = len(whole) // 2
        bad = {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
        }
        path.write_bytes(content if isinstance(content, bytes) else bad[content])
    caplog.set_level("INFO")
    run_task("train", killed, load_settings(FITS), "n1")
    assert not steps_gone_on_from(caplog.text)
    assert f"{killed.root}/runs/n1/{TABLE}/" in caplog.text
    assert "cannot be used, the fit starts from the beginning" in caplog.text


def test_a_flipped_bit_is_never_believed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "0": rng.random((9, 4), np.float32),
        "1": rng.random(4),
        "2": np.array(3),
    }
    state = FitState(7, [3.5, 2.5], {0: 3.25}, arrays)
    store = Store(tmp_path / "store").create()
    checkpoint = RunCheckpoints(store, "n1", 1e-9)("rating-1")
    checkpoint.save(lambda: state)
    whole = checkpoint.path.read_bytes()
    loaded = []
    for place in range(len(whole)):
        flipped = bytes([whole[place] ^ 1 << place % 8])
        checkpoint.path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        loaded.append(checkpoint.load())
    assert loaded.count(None) > len(whole) / 2
    for other in filter(None, loaded):
        assert (other.losses, other.fixed_losses) == (state.losses, state.fixed_losses)
        assert other.arrays.keys() == arrays.keys()
        assert all((other.arrays[name] == arrays[name]).all() for name in arrays)


@pytest.mark.slow
def test_states_are_of_no_use_to_other_ratings_or_settings(
    killed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run_task("train", killed, load_settings([*FITS, "rating_lambda=2", "ranking_lambda=9"]), "n1")
    assert not steps_gone_on_from(caplog.text)
    kill_training(str(killed.root), "n1", 11)
    run_task("normalize", killed, load_settings(["damping=9"]), "n1")
    run_task("train", killed, load_settings(FITS), "n1")
    assert not steps_gone_on_from(caplog.text)


@pytest.mark.slow
def test_no_state_is_kept_where_nobody_wants_one(
    killed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run_task("train", killed, load_settings([*FITS, "checkpoint_seconds=0"]), "n1")
    assert not steps_gone_on_from(caplog.text)
    assert not kept(killed)


@pytest.mark.slow
def test_a_state_shows_no_user(killed: Store) -> None:
    assert kept(killed)
    for user in ("1", "7", "100"):
        traces: Traces = look(killed, load_settings(EACH_STEP), [user])
        assert not [name for name in traces.remaining + traces.skipped if TABLE in name]
