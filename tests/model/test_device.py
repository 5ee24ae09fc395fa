"""TensorFlow gets the threads and the device of the task."""

import json
import logging
import os
from pathlib import Path

import pytest
import tensorflow as tf

from cofi_jobs.core import machine
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.model import device
from tests.support.processes import exit_code


def set_up(asked: str, said: Path) -> None:
    """What TensorFlow has after it was set up; then it is set up again, too late."""
    logging.basicConfig(filename=said.with_name("log"))
    try:
        with machine.limited(1):
            device.set_up_tensorflow(asked)
    except SettingsError as error:
        said.write_text(json.dumps(str(error)))
        return
    threading = tf.config.threading
    seen = {
        "intra": threading.get_intra_op_parallelism_threads(),
        "inter": threading.get_inter_op_parallelism_threads(),
        "gpus": len(tf.config.get_visible_devices("GPU")),
        "sum": float(tf.constant(1.0) + 1),
    }
    with machine.limited(2):
        device.set_up_tensorflow(asked)
    said.write_text(json.dumps(seen))


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["auto", "cpu", "gpu"])
def test_tensorflow_gets_the_threads_and_the_device_that_it_is_asked_for(
    asked: str, tmp_path: Path
) -> None:
    said = tmp_path / "said.json"
    # A machine without a GPU.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    assert exit_code(set_up, asked, said, environment=environment) == 0
    seen, log = json.loads(said.read_text()), (tmp_path / "log").read_text()
    if asked == "gpu":
        assert seen.startswith("setting device: found no GPU that TensorFlow can use, expected one")
    else:
        assert seen == {"intra": 1, "inter": 1, "gpus": 0, "sum": 2.0}
        assert "TensorFlow keeps the threads and the device of an earlier task" in log
