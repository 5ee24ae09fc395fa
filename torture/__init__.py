"""Attacks on what docs/outputs.md promises: kills, power cuts, disk errors, races, odd input.

`python -m torture` (`make torture`) prints one table: what was attacked, how often, and how often a
promise did not hold. It exits with 1 if one did not, with the command that repeats the case. It
must not be imported by cofi_jobs.
"""
