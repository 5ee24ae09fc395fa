"""Workers in this process, and what is said where Ray is not installed."""

import sys

import pytest

from cofi_jobs import engine
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.engine.engines import workers_for
from cofi_jobs.settings.resolve import load_settings


class Factor:
    """A worker with a factor."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, number: int) -> int:
        return self.factor * number


def whole() -> Factor:
    return Factor(3)


def test_the_local_engine_has_one_worker_with_all_of_the_data():
    with workers_for(load_settings(), whole, range, Factor) as workers:
        assert workers.each("times", 2) == [6]
        assert workers.each("times", parts=[workers.share(4)]) == [12]
        assert workers.total("times", 5) == 15


def test_without_ray_the_engine_ray_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "cofi_jobs.engine.on_ray", raising=False)
    monkeypatch.delattr(engine, "on_ray", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'cofi\[ray\]'"):
        with workers_for(load_settings(["engine=ray"]), whole, range, Factor):
            pass
