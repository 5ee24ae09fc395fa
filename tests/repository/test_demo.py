"""`make run` from a checkout, on a user's own files; `make help`; e2e/ has `make ui`."""

import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cofi_jobs.store.store import Store
from demo.files import fill
from tests.support.checkout import Checkout, new_checkout
from tests.support.data import random_ratings
from tests.support.repository import ROOT

BAD_LINES = "1\t107\tgood\t881250949\n\t107\t3\t881250949\n"


@dataclass(frozen=True)
class Runs:
    """A run on a file without ratings, and then one on the same store with the right files."""

    checkout: Checkout
    store: Store
    failing: subprocess.CompletedProcess[str]
    good: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    checkout = new_checkout(tmp_path_factory.mktemp("checkout"))
    (checkout.root / "prices.csv").write_text("shop,price\n1,2\n")
    # As in MovieLens 100k: tabs, no header.
    ratings = random_ratings()
    (checkout.root / "u.data").write_text(
        ratings.to_csv(sep="\t", header=False, index=False) + BAD_LINES
    )
    titles = "".join(
        f'{item},"Film {item}, The",Drama\n' for item in sorted(set(ratings["movieId"]))
    )
    (checkout.root / "movies.csv").write_text("movieId,title,genres\n" + titles)
    failing = checkout.make("run", "RATINGS=prices.csv", "STORE=my store")
    good = checkout.make("run", "RATINGS=u.data", "ITEMS=movies.csv", "STORE=my store")
    return Runs(checkout, Store(checkout.root / "my store"), failing, good)


def test_run_ends_with_a_summary(runs: Runs) -> None:
    assert runs.good.returncode == 0, runs.good.stdout
    read = len(random_ratings()) + 2
    progress, summary = runs.good.stdout.split("CoFi run ")
    assert f"train: learning from all {read - 2} ratings" in progress
    assert f"{read} ratings read, {read - 2} taken, 2 rejected" in summary
    assert "1 rejected: rating is not a number" in summary
    for measure, baseline in (("RMSE", "damped means"), ("ndcg@10", "popularity")):
        assert re.search(
            rf"{measure} .* \d+\.\d{{4}} .* \d+\.\d{{4}} .* {baseline}", summary, re.IGNORECASE
        )
    assert len(re.findall(r"^User \d+, \d+ ratings", summary, re.MULTILINE)) == 3
    assert len(re.findall(r"^Film \d+, The, \d+ ratings, mean", summary, re.MULTILINE)) == 3
    assert len(re.findall(r" Film \d+, The", summary)) > 20, "titles, not bare ids, in the lists"
    [run_key] = runs.store.published()
    for table in ("recommendations", "similar_items", "popular_items"):
        folder = runs.store.table(run_key, table)
        assert f"{table}: {folder}\n" in summary
        assert list(folder.glob("*.parquet"))
    assert "seconds in all" in summary
    assert "preparing Airflow's database" in runs.failing.stdout
    assert "preparing Airflow's database" not in progress, "it is prepared"
    assert "Traceback" not in runs.good.stdout


def test_failing_run_says_why(runs: Runs) -> None:
    assert runs.failing.returncode != 0
    lines = runs.failing.stdout.splitlines()
    assert any(
        re.search(r"error: .*prices\.csv: found the columns 'shop', 'price', expected", line)
        for line in lines
    )
    assert any("the DAG run failed; its log is" in line for line in lines[-3:])
    assert "Traceback" not in runs.failing.stdout, "one clear sentence"


def test_the_ui_puts_no_sample_beside_a_users_ratings(runs: Runs) -> None:
    assert fill(runs.store.root, [], None) == []
    assert [file.name for file in runs.store.landing.iterdir()] == ["u.data"]


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("http", "found the port 'http', expected a number from 1 to 65535"),
        ("70000", "found the port '70000', expected a number from 1 to 65535"),
        ("TAKEN", "port TAKEN cannot be used: Address already in use; choose another: PORT=8090"),
    ],
)
def test_a_port_that_cannot_be_used_is_named(tmp_path: Path, port: str, message: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        port, message = port.replace("TAKEN", number), message.replace("TAKEN", number)
        ended = new_checkout(tmp_path).make("ui", f"PORT={port}")
    assert ended.returncode != 0
    assert message in ended.stdout
    assert "Traceback" not in ended.stdout


def test_missing_file_is_named(tmp_path: Path) -> None:
    ended = new_checkout(tmp_path).make("run", "RATINGS=nowhere.csv")
    assert ended.returncode != 0
    assert "found no file nowhere.csv" in ended.stdout
    assert "Traceback" not in ended.stdout


def test_help_lists_the_targets() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    assert {"run", "test", "help"} <= set(targets[1].split())
    for target in targets[1].split():
        assert re.search(rf"^make {target} +\S", listed, re.MULTILINE), (
            f"{target} without a word of help"
        )
