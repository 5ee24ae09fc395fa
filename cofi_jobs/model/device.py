"""TensorFlow's threads and device."""

import logging

import tensorflow as tf

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.core.machine import threads

log = logging.getLogger(__name__)


def set_up_tensorflow(device: str) -> None:
    """Give TensorFlow the task's threads and device: once a process, before it computes anything.

    `device` is the setting: auto, cpu or gpu. Memory of a GPU is taken as it is needed, so that
    other processes can use the GPU too. Raises SettingsError where `device` asks for a GPU and
    there is none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise SettingsError(
            "setting device: found no GPU that TensorFlow can use, expected one; "
            "auto and cpu do without"
        )
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads())
        tf.config.threading.set_inter_op_parallelism_threads(threads())
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.set_visible_devices([] if device == "cpu" else gpus, "GPU")
    except RuntimeError:  # TensorFlow has computed before and cannot be changed any more
        log.warning(
            "TensorFlow keeps the threads and the device of an earlier task of this process"
        )
