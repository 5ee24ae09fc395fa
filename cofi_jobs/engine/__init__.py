"""Where the parts of a task are computed: in this process, or on a Ray cluster.

A task passes a function of one item, or a function that makes a worker for each part of the data.
The task does not know where the work is done. This is the only room that imports Ray, and it
imports Ray only if the setting `engine` says so. This room uses `settings` and `core`. Nothing here
knows what is computed.
"""
