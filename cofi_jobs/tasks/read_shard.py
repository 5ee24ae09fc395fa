"""How a worker of train gets its ratings: it reads those of its users from the store itself.

This module imports nothing heavy: a worker imports TensorFlow through it, quietly.
"""

import functools
from typing import TYPE_CHECKING

from cofi_jobs.core.scale import Scale
from cofi_jobs.model.start import start_tensorflow
from cofi_jobs.settings.fields import Settings
from cofi_jobs.tasks.run_split import open_anywhere, read_part

if TYPE_CHECKING:
    from cofi_jobs.model.sharded import UserShard


def read_shard(
    location: str, run_key: str, settings: Settings, scale: Scale | None, users: slice
) -> "UserShard":
    """The worker with the ratings of some users of a run of the store at a location."""
    start_tensorflow(settings.device)
    from cofi_jobs.model.sharded import UserShard, whole_blocks

    open_file = functools.partial(open_anywhere, location, run_key, "normalized")
    n_users, n_items = (open_file(name).metadata.num_rows for name in ("users", "items"))
    blocks = whole_blocks(users, n_users)
    return UserShard(*read_part(open_file, settings, blocks, n_items), scale, users)
