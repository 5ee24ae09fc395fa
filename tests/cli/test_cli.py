"""The command line as a person or script uses it: real processes, exit codes, output."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.store import Store
from tests.support.command_line import SETTINGS, cofi
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.repository import ROOT


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    return write_ratings(tmp_path / "ratings.csv", random_ratings())


@pytest.fixture
def items(tmp_path: Path) -> Path:
    rows = [f'{item},"Film, the {item}th",Drama' for item in range(100, 240, 7)]
    path = tmp_path / "movies.csv"
    path.write_text("\n".join(["movieId,title,genres", *rows]))
    return path


@pytest.mark.slow
def test_run_does_the_whole_night_and_ends_with_a_summary(
    store: Store, ratings: Path, items: Path, tmp_path: Path
):
    more = write_ratings(
        tmp_path / "more.csv", random_ratings(seed=1).assign(rating=9)
    )  # another scale's rating
    write_ratings(store.landing / "landed.csv", random_ratings(seed=2))
    ended = cofi("run", "--store", store.root, "--ratings", ratings, more, "--items", items,
                 "--run-key", "n1", *SETTINGS, "--set", "rating_high=5")  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    n = [len(random_ratings(seed=seed)) for seed in range(3)]
    assert f"{sum(n)} ratings read, {n[0] + n[2]} taken, {n[1]} rejected" in ended.stdout
    assert f"{n[1]} rejected: rating is outside the scale 1 to 5" in ended.stdout
    for expected in (
        "RMSE",
        "damped means",
        "ndcg@10",
        "popularity",
        "Film, the 107th",
        str(store.table("n1", "")),
    ):
        assert expected in ended.stdout
    assert len(re.findall(r"User \d+, \d+ ratings", ended.stdout)) == 3
    assert ended.stdout.count("similar items") == 3
    assert "\x1b" not in ended.stdout + ended.stderr  # plain lines where there is no terminal
    assert "INFO cofi_jobs.model.fit: rating model: step 3 of 3" in ended.stderr


@pytest.mark.slow
def test_one_command_for_each_task(store: Store, ratings: Path):
    where = ("--store", store.root, "--run-key", "n1", *SETTINGS)
    assert cofi("ingest", *where, "--ratings", ratings).returncode == 0
    for task in (
        "normalize",
        "train",
        "similar-items",
        "recommend",
        "evaluate",
        "report",
        "publish",
    ):
        ended = cofi(task, *where)
        assert ended.returncode == 0, ended.stderr
    assert store.current() == "n1"


@pytest.mark.slow
def test_evaluate_prints_each_measure_beside_each_baseline(store: Store, quick):
    write_ratings(store.landing / "ratings.csv", random_ratings(n_users=120))
    run_night(store, quick, "n1")
    run_night(store, quick, "n2")
    shown = cofi("evaluate", "--store", store.root).stdout
    assert "CoFi run n2" in shown
    number, interval = r"[+-]?\d+\.\d{4}", r"[+-]?\d+\.\d{4} to [+-]?\d+\.\d{4}"
    assert re.search(
        rf"rmse +{number} +{interval} +global_mean +{number} +{number} +{interval}", shown
    )
    assert re.search(
        rf"ndcg@10 +{number} +{interval} +popularity +{number} +{number} +{interval}", shown
    )
    for against in ("item_means", "damped_means", "item_knn", "published"):
        assert (
            len(re.findall(rf"^ +{against} +{number} +{number} +{interval}", shown, re.MULTILINE))
            >= 2
        )
    assert "published: run n1, on the 120 users" in shown
    for group in ("few", "some", "many", "popular", "middle", "rare"):
        assert re.search(rf"^ {group} +\d", shown, re.MULTILINE)
    assert "the gate lets the run pass" in shown

    where = ("--store", store.root, "--run-key", "n3", *SETTINGS)
    strict = ("--set", "recall_at=1", "--set", "min_coverage=1", "--set", "force_publish=false")
    refused = cofi("run", *where, *strict)
    assert refused.returncode == 1
    assert re.search(
        r"^error: .*coverage@1 is 0\.\d+, expected at least 1 ", refused.stderr, re.MULTILINE
    )
    assert store.current() == "n2"
    assert "The gate refused this run" in (store.table("n3", "report") / "report.html").read_text()
    newest = cofi("evaluate", "--store", store.root).stdout
    assert "CoFi run n3" in newest
    assert "refused: catalogue coverage@1" in newest
    assert "CoFi run n1" in cofi("evaluate", "--store", store.root, "--run-key", "n1").stdout

    force = ("--set", "recall_at=1", "--set", "min_coverage=1", "--set", "force_publish=true")
    assert "overridden: catalogue coverage@1" in cofi("evaluate", *where, *force).stdout
    assert cofi("publish", *where).returncode == 0
    assert store.current() == "n3"
    assert re.search(r"n3 +current", cofi("runs", "--store", store.root).stdout)
    assert "recall@1 " in cofi("summary", "--store", store.root).stdout


def test_show_runs_and_rollback(store: Store, ratings: Path, items: Path, quick):
    store.add_to_catalogue(items)
    run_night(store, quick, "n1", ratings=[ratings])
    run_night(store, quick, "n2")
    where = ("--store", store.root)

    user = cofi("show", "user", "10", *where).stdout
    assert "User 10" in user
    assert "Film, the" in user
    item = cofi("show", "item", "107", *where).stdout
    assert re.search(r"Film, the 107th, \d+ ratings", item)
    assert "similarity" in item

    assert re.search(r"n1 +published .*\n.*n2 +current", cofi("runs", *where).stdout)
    assert cofi("rollback", "n1", *where).returncode == 0
    assert store.current() == "n1"
    assert re.search(
        r"n1 +current .*\n.*n2 +published", cofi("runs", COFI_STORE=str(store.root)).stdout
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["run", "--ratings", "missing.csv"],
            1,
            r"error: found no file .*missing\.csv, expected a file of ratings",
        ),
        (
            ["run", "--items", "missing.csv"],
            1,
            r"error: found no file missing\.csv, expected a catalogue of items",
        ),
        (["run"], 1, r"error: found no ratings in .*landing, expected a file there"),
        (["run", "--run-key", "a/b"], 2, r"error: found the run key 'a/b', expected"),
        (
            ["train", "--run-key", "n1"],
            1,
            r"error: train of run n1 needs the task ingest of the same run",
        ),
        (["evaluate"], 1, r"error: found no evaluation in .*; run the task evaluate first"),
        (["show", "user", "1"], 1, r"error: found no published run in .*; run the job first"),
        (["rollback", "n1"], 1, r"error: run n1 is not published in"),
        (
            ["run", "--set", "top_n=0"],
            2,
            r"error: setting top_n: found '0', allowed is: integer, at least 1",
        ),
        (["run", "--set", "topn=5"], 2, r"error: unknown setting 'topn'; did you mean top_n\?"),
        (["run", "--set", "top_n"], 2, r"error: found 'top_n', expected a setting as name=value"),
        (["train"], 2, "--run-key"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(store: Store, arguments, code, message):
    ended = cofi(*arguments, COFI_STORE=str(store.root))
    assert ended.returncode == code
    assert re.search(message, ended.stderr)
    assert "Traceback" not in ended.stderr
    if message.startswith("error"):
        assert ended.stderr.splitlines()[-1].startswith("error: ")


def test_unknown_users_and_items_are_said_to_be_unknown(store: Store, ratings: Path, quick):
    run_night(store, quick, "n1", ratings=[ratings])
    where = ("--store", store.root)
    assert "error: found no user 1 in run n1" in cofi("show", "user", "1", *where).stderr
    assert (
        "error: found no item 1 among the 20 rated items"
        in cofi("show", "item", "1", *where).stderr
    )
    assert (
        "error: found the user_id 'x', expected an integer"
        in cofi("show", "user", "x", *where).stderr
    )


def test_a_traceback_is_shown_when_asked_for(store: Store):
    ended = cofi("--traceback", "run", "--store", store.root)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "NoInputError" in ended.stderr


def test_an_unexpected_error_is_a_failed_run_too(tmp_path: Path):
    in_the_way = tmp_path / "store"
    in_the_way.touch()
    ended = cofi("run", "--store", in_the_way)
    assert ended.returncode == 1
    assert "error: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_runs_says_where_a_run_failed(store: Store, ratings: Path, quick):
    run_night(store, quick, "n1", ratings=[ratings])
    ended = cofi(
        "run", "--store", store.root, "--run-key", "n2", *SETTINGS, "--set", "liked_from=nan"
    )
    assert ended.returncode == 2
    bad = store.landing / "bad.parquet"
    for task in ("ingest", "normalize"):
        assert cofi(task, "--store", store.root, "--run-key", "n2", *SETTINGS).returncode == 0
    bad.write_bytes(b"no Parquet")
    assert cofi("ingest", "--store", store.root, "--run-key", "n2", *SETTINGS).returncode == 1
    shown = cofi("runs", "--store", store.root).stdout
    assert re.search(r"n2 +failed in ingest: .*bad\.parquet", shown)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("connection:canary", "starts with 'connection:', expected a folder"),
        (
            "s3://canary@bucket/store",
            "found a login in an address of s3://, which is not shown, expected s3://<bucket>",
        ),
    ],
)
def test_an_address_that_is_no_store_is_not_shown(address: str, message: str):
    ended = cofi("ingest", "--run-key", "n1", COFI_STORE=address)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "canary" not in ended.stdout + ended.stderr


def test_options_that_cannot_be_read_are_not_shown(store: Store):
    ended = cofi(
        "ingest", "--run-key", "n1", COFI_STORE=str(store.root), COFI_STORE_OPTIONS='["canary"]'
    )
    assert ended.returncode == 2
    assert "COFI_STORE_OPTIONS holds no JSON object" in ended.stderr
    assert "canary" not in ended.stdout + ended.stderr


def test_explain_says_why_in_words(store: Store, ratings: Path, items: Path):
    store.add_to_catalogue(items)
    run_night(store, load_settings([*QUICK, "ranking_steps=20"]), "n1", ratings=[ratings])
    lists = current_run(store).recommendations
    user, best = next(
        (user, row)
        for user in map(str, random_ratings()["userId"].unique())
        if (row := lists(user).to_pylist()[0])["because_item_id"] is not None
    )
    ended = cofi("explain", user, best["item_id"], "--store", store.root, "--run-key", "n1")
    assert ended.returncode == 0, ended.stderr
    n_rated = len(current_run(store).rated(user))
    [first] = [line for line in ended.stdout.splitlines() if line.startswith("Film, the")][:1]
    assert first == (
        f"Film, the {best['item_id']}th for user {user}: score {best['score']:.3f}, rank 1 of "
        f"{20 - n_rated} items that the user has not rated, place 1 of the list; predicted rating "
        f"{best['predicted_rating']:.1f} (1 to 5)"
    )
    lines = re.findall(r"Film, the (\d+)th +(\d) +(\d+) %", ended.stdout.split("Speaks against")[0])
    assert lines
    own = random_ratings().query(f"userId == {user}").set_index("movieId")["rating"]
    assert all(own[int(item)] == int(stars) for item, stars, _ in lines)
    parts = [int(share) for *_, share in lines]
    assert parts == sorted(parts, reverse=True)
    liked = [int(item) for item, stars, _ in lines if int(stars) >= 4]
    assert liked[0] == best["because_item_id"]
    assert "\x1b" not in ended.stdout


def test_explain_names_what_it_cannot_explain(store: Store, ratings: Path, quick):
    where = ("--store", store.root)
    assert "error: found no published run" in cofi("explain", "10", "100", *where).stderr
    run_night(store, quick, "n1", ratings=[ratings])
    rated = random_ratings().query("userId == 10").iloc[0]
    item = int(rated["movieId"])
    for arguments, message in (
        (("1", "100"), "found no user 1 in run n1"),
        (("10", "1"), "found no item 1 among the 20 rated items of run n1"),
        (
            ("10", item),
            f"user 10 has rated item {item} with {rated['rating']:g}; only other items are "
            "recommended",
        ),
        (("10", "100", "--run-key", "n7"), "run n7 is not published"),
    ):
        ended = cofi("explain", *arguments, *where)
        assert ended.returncode == 1
        assert f"error: {message}" in ended.stderr


def test_erase(store: Store, ratings: Path):
    run_night(store, load_settings(QUICK), "n1", ratings=[ratings])
    ended = cofi("erase", "10", "13", "--store", store.root)
    assert (ended.returncode, "gone with the next publication" in ended.stdout) == (0, True)
    ended = cofi("erase", "10", "--now", "--store", store.root)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "found no trace")
    assert 10 not in current_run(store).users()["user_id"].to_pylist()
    for words in (["--check"], [], ["--now"]):
        ended = cofi("erase", "10", "no-such-user", *words, "--store", store.root)
        known = words == ["--now"]  # the erasure before has left a tombstone
        assert (ended.returncode, "found no trace" in ended.stdout) == (0, known)
        assert ("no user with 1 of the ids (no. 2)" in ended.stdout) != known
        assert "no-such-user" not in ended.stdout + ended.stderr
    (store.root / "notes.txt").write_text("of 10 and 16")
    ended = cofi("erase", "--check", "16", "--store", store.root)
    assert ended.returncode == 1
    assert "found the users in" in ended.stderr
    assert "notes.txt" in ended.stderr
    assert "runs/n1/recommendations" in ended.stderr
    ended = cofi("erase", "--store", store.root)
    assert (ended.returncode, "found no user id" in ended.stderr) == (2, True)


@pytest.mark.parametrize("users", ["[1003]", '"1003"', "1003", "null", "1003, 1004", "[" * 100_000])
def test_users_to_erase_that_are_no_list_of_texts_are_refused_without_showing_them(
    store: Store, users: str
):
    ended = cofi("erase", "--store", store.root, COFI_ERASE=users)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: found another COFI_ERASE than a JSON list of texts")
    assert "1003" not in ended.stdout + ended.stderr


def test_the_command_line_starts_without_what_only_some_commands_need():
    script = "import sys, cofi_jobs.cli.app; print({'pandas', 'matplotlib'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert shown.stdout == "set()\n", shown.stderr
