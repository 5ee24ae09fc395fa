"""TensorFlow gets the threads and the device of the task."""

import os
import subprocess
import sys

import pytest

PROBE = """
import sys
from cofi_jobs.core import machine
from cofi_jobs.model import device
import tensorflow as tf
with machine.limited(1):
    device.set_up_tensorflow(sys.argv[1])
threading = tf.config.threading
print(
    threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()
)
print(len(tf.config.get_visible_devices("GPU")), float(tf.constant(1.0) + 1))
with machine.limited(2):
    device.set_up_tensorflow(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("device", ["auto", "cpu", "gpu"])
def test_tensorflow_gets_the_threads_and_the_device_that_it_is_asked_for(device):
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # a machine without a GPU
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, device], capture_output=True, text=True, env=environment
    )
    if device == "gpu":
        assert (
            "SettingsError: setting device: found no GPU that TensorFlow can use, expected one"
            in ended.stderr
        )
    else:
        assert ended.stdout.split() == ["1", "1", "0", "2.0"]
        assert "TensorFlow keeps the threads and the device of an earlier task" in ended.stderr
        assert ended.returncode == 0
