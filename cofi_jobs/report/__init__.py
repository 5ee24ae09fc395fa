"""One self-contained page about a run, for people.

The page shows what came in, how good the model is, and what the lists hold. Each section is a
module; `write.py` lists the sections, and `plots.py` holds the kinds of plots. The page is no part
of what is published. It can be made again at any time, also for a run that failed or was refused.
This room uses `evaluation`, `store`, `settings` and `core`, and reads runs through
`cofi_jobs.read`. A metric that a run must be judged by belongs in `evaluation`.
"""
