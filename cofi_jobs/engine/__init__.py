"""Where the parts of a task are computed: in this process, or on a Ray cluster.

A task gives a function of one item, or one that makes an object for each part of its data, whose
methods it calls; it does not know where that is done. This is the only room that imports Ray, and
only if the setting `engine` says so. Nothing here knows what is computed. The room uses `settings`
and `core`.
"""
