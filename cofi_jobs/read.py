"""Read what a store publishes: the public module for programs that use CoFi's outputs."""

from cofi_jobs.store.reader import Run, current_run, recommendations, similar_items

__all__ = ["Run", "current_run", "recommendations", "similar_items"]
