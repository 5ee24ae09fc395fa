"""A faster import of Keras. This module imports nothing heavy, so that it can be called first."""

import importlib
import sys
from typing import Any

# Keras imports these if they are installed, to draw and to take data frames. That takes half a
# second, and is not used here.
OPTIONAL = ("matplotlib", "pandas")


def import_keras() -> None:
    """Import Keras, and with it TensorFlow, as if Keras' optional packages were not installed."""
    absent: dict[str, Any] = {name: None for name in OPTIONAL if name not in sys.modules}
    sys.modules.update(absent)  # importing a module that is None fails
    try:
        importlib.import_module("keras")
    finally:
        for name in absent:
            del sys.modules[name]
