"""A quiet and quick start of TensorFlow; this module itself imports nothing heavy."""

import gc
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Lines that TensorFlow writes while it is imported, whatever its log level.
NOISE = re.compile(rb"absl::InitializeLog|cudart_stub\.cc")


@contextmanager
def quiet_start(device: str) -> Iterator[None]:
    """Import TensorFlow in this context: without its noise on standard error, and faster.

    `device` is the setting: auto, cpu or gpu.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The same numbers on every processor, and no line about it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if device == "cpu" or (device == "auto" and not any(Path("/dev").glob("nvidia*"))):
        # TensorFlow does not search for a GPU, and does not warn that there is none.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with _without_noise(), _without_collecting():
        yield


@contextmanager
def _without_noise() -> Iterator[None]:
    """Hold back what is written to standard error, then write it without the lines of NOISE."""
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not NOISE.search(line):
                    os.write(2, line)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Pause garbage collection: TensorFlow's import makes a million objects, and all stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
