"""The search for better settings.

It holds the search of a store's first run, the studies of later ones, and the file `settings.json`
in which the store keeps what they found. This room uses `evaluation`, `model`, `store`, `engine`,
`settings` and `core`. It sees none of the ratings that a run is measured on, and it changes no run.
"""
