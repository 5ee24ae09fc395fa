"""TensorFlow in a process that has not imported it yet, such as a worker's."""

from cofi_jobs.model.keras_import import import_keras
from cofi_jobs.model.quiet_start import quiet_start


def start_tensorflow(device: str) -> None:
    """Import TensorFlow quietly and let it compute on this device, as the setting names it."""
    with quiet_start(device):
        import_keras()
        from cofi_jobs.model.device import set_up_tensorflow
    set_up_tensorflow(device)
