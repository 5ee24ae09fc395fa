"""What is moved between a bucket and its local copy: cases, and properties of any three states."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cofi_jobs.store import layout
from cofi_jobs.store.plan import (
    Plan,
    Runs,
    Stamp,
    Synced,
    diff,
    is_always_here,
    missing,
    rank,
    unchanged,
)

OLD, NEW = Stamp(3, 1, 1), Stamp(3, 2, 2)
SYNCED = Synced("v1", OLD)


def of(*names: str) -> dict[str, Synced]:
    """Files that were downloaded and not touched since."""
    return dict.fromkeys(names, SYNCED)


@dataclass
class Case:
    """Names of files: in the bucket, downloaded, then changed or made, then removed here."""

    expected: Plan
    remote: tuple[str, ...] = ()
    downloaded: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    runs_here: set[str] = field(default_factory=set)

    def plan(self) -> Plan:
        local = {name: OLD for name in self.downloaded if name not in self.removed}
        local |= dict.fromkeys(self.changed, NEW)
        return diff(local, self.remote, of(*self.downloaded), self.runs_here)


TABLE, OUTCOME, MANIFEST = "runs/a/model/x.parquet", "tasks/a/train.json", "manifests/a.json"
MARKER = "manifests/a.left"
CASES = {
    "nothing": Case(Plan(), remote=(TABLE, OUTCOME), downloaded=(OUTCOME,), runs_here={"a"}),
    "a new table and its outcome": Case(
        Plan(upload=(TABLE,), write=(OUTCOME,)), changed=(OUTCOME, TABLE), runs_here={"a"}
    ),
    "an outcome that is made again counts only when its table is there": Case(
        Plan(invalidate=(OUTCOME,), upload=(TABLE,), write=(OUTCOME,)),
        remote=(TABLE, OUTCOME),
        downloaded=(TABLE, OUTCOME),
        changed=(TABLE, OUTCOME),
        runs_here={"a"},
    ),
    "an outcome that no longer counts goes first, and once": Case(
        Plan(invalidate=(OUTCOME,)),
        remote=(OUTCOME,),
        downloaded=(OUTCOME,),
        removed=(OUTCOME,),
    ),
    "an outcome of a published run is replaced": Case(
        Plan(write=(OUTCOME,)),
        remote=(OUTCOME, MANIFEST),
        downloaded=(OUTCOME, MANIFEST),
        changed=(OUTCOME,),
    ),
    "outcomes of ingest are replaced, as failures are": Case(
        Plan(write=("tasks/a/ingest.json", "tasks/a/train.failed.json")),
        remote=("tasks/a/ingest.json", "tasks/a/train.failed.json"),
        downloaded=("tasks/a/ingest.json", "tasks/a/train.failed.json"),
        changed=("tasks/a/train.failed.json", "tasks/a/ingest.json"),
    ),
    "publishing: the manifest before CURRENT, then the outcome of publish": Case(
        Plan(write=(MANIFEST, "CURRENT.json", "tasks/a/publish.json")),
        changed=("tasks/a/publish.json", "CURRENT.json", MANIFEST),
    ),
    "compaction: the new file, the record that names it, then the old one goes": Case(
        Plan(
            upload=("ratings/merged/up-to-b.parquet",),
            write=("merged.json",),
            remove=("ratings/batch=b/0.parquet",),
        ),
        remote=("ratings/batch=b/0.parquet",),
        downloaded=("ratings/batch=b/0.parquet",),
        changed=("merged.json", "ratings/merged/up-to-b.parquet"),
        removed=("ratings/batch=b/0.parquet",),
    ),
    "erasing: tombstones are last, after the old files are gone": Case(
        Plan(
            upload=("ratings/batch=b/1.parquet",),
            write=("erased.key", "tasks/b/ingest.json"),
            remove=("ratings/batch=b/0.parquet",),
            finish=("erased.json",),
        ),
        remote=("ratings/batch=b/0.parquet", "tasks/b/ingest.json"),
        downloaded=("ratings/batch=b/0.parquet", "tasks/b/ingest.json"),
        changed=(
            *("erased.json", "erased.key", "tasks/b/ingest.json"),
            "ratings/batch=b/1.parquet",
        ),
        removed=("ratings/batch=b/0.parquet",),
    ),
    "what was not downloaded stays": Case(
        Plan(), remote=("ratings/batch=b/0.parquet", TABLE), runs_here={"a"}
    ),
    "a removed run goes, downloaded or not, its manifest before its tables, its marker last": Case(
        Plan(mark=(MARKER,), remove=(MANIFEST, TABLE, MARKER)),
        remote=(TABLE, MANIFEST, "runs/b/model/x.parquet"),
        downloaded=(MANIFEST,),
        removed=(MANIFEST,),
        runs_here={"b"},
    ),
    "a removal that has not ended here keeps its marker": Case(
        Plan(write=(MARKER,), remove=(MANIFEST,)),
        remote=(MANIFEST,),
        downloaded=(MANIFEST,),
        changed=(MARKER,),
        removed=(MANIFEST,),
    ),
    "a run whose removal was killed goes, its marker last": Case(
        Plan(invalidate=(OUTCOME,), remove=(TABLE, MARKER)),
        remote=(TABLE, OUTCOME, MARKER),
        downloaded=(OUTCOME, MARKER),
        removed=(OUTCOME, MARKER),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_cases(case: Case) -> None:
    assert case.plan() == case.expected
    assert bool(case.plan()) == (case.expected != Plan())


NAMES = st.sampled_from(
    [
        *("landing/a.csv", "ratings/batch=a/0.parquet", "ratings/merged/x.parquet", TABLE),
        *("runs/b/model/x.parquet", "lists/allow.txt", OUTCOME, "tasks/a/ingest.json", MANIFEST),
        MARKER,
        *("tasks/b/publish.json", "tasks/b/train.json", "store.json", "merged.json"),
        *("CURRENT.json", "erased.json", "erased.key", "tasks/b/train.failed.json"),
    ]
)
SIZES = st.dictionaries(NAMES, st.integers(0, 2))


@given(remote=SIZES, local=SIZES, downloaded=st.sets(NAMES))
def test_after_the_plan_the_bucket_is_as_the_folder(
    remote: dict[str, int], local: dict[str, int], downloaded: set[str]
) -> None:
    """What was not downloaded stays, unless its run is gone."""
    synced = {
        name: Synced("v", Stamp(size, 0, 0)) for name, size in remote.items() if name in downloaded
    }
    runs_here = {layout.run_of(name) or "" for name in local} | {"b"}
    stamps = {name: Stamp(size, 0, 0) for name, size in local.items()}
    plan = diff(stamps, remote, synced, runs_here)

    bucket = {name: size for name, size in remote.items() if name not in plan.invalidate}
    bucket |= {name: local[name] for name in plan.upload}
    for name in plan.write:
        bucket[name] = local[name]
    bucket |= dict.fromkeys(plan.mark, 0)
    assert plan.remove.count(TABLE) <= 1
    assert bucket.keys() >= set(plan.remove)
    bucket = {name: size for name, size in bucket.items() if name not in plan.remove}
    bucket |= {name: local[name] for name in plan.finish}

    away = {n for n in remote if layout.run_of(n) == "a" and "a" not in runs_here}
    untouched = {n: size for n, size in remote.items() if n not in synced and n not in away}
    assert bucket == untouched | local

    steps = [*plan.upload, *plan.write]
    assert [rank(name) for name in steps] == sorted(rank(name) for name in steps)
    assert set(plan.finish) <= {layout.TOMBSTONES}
    assert layout.TOMBSTONES not in steps
    assert diff(stamps, bucket, {n: Synced("v", stamps[n]) for n in local}, runs_here) == Plan()


@given(remote=st.dictionaries(NAMES, st.sampled_from("vw")), local=SIZES, index=SIZES)
def test_what_is_the_same_in_both_places_is_not_fetched_again(
    remote: dict[str, str], local: dict[str, int], index: dict[str, int]
) -> None:
    stamps = {name: Stamp(size, 0, 0) for name, size in local.items()}
    entries = {name: Synced("v", Stamp(size, 0, 0)) for name, size in index.items()}
    same = unchanged(stamps, remote, entries)
    assert same.keys() == {
        name for name in index if local.get(name) == index[name] and remote.get(name) == "v"
    }
    everything = missing(remote, same, None, Runs(None, None))
    assert set(everything) == remote.keys() - same.keys()


RUNS = Runs(frozenset({"a", "b"}), "b")


@pytest.mark.parametrize(
    ("needs", "name", "needed"),
    [
        ("ratings", "ratings/batch=a/0.parquet", True),
        ("ratings", "ratings/merged/x.parquet", True),
        ("ratings", "rejected/batch=a/0.parquet", False),
        ("landing", "landing/a.csv", True),
        ("runs/*/model", "runs/a/model/x.parquet", True),
        ("runs/*/model", "runs/b/model/deep/x.parquet", True),
        ("runs/*/model", "runs/c/model/x.parquet", False),
        ("runs/*/model", "runs/a/evaluation/x.parquet", False),
        ("runs/*", "runs/a/evaluation/x.parquet", True),
        ("runs/*", "runs/c/evaluation/x.parquet", False),
        ("runs", "runs/c/evaluation/x.parquet", True),
        ("current/model", "runs/b/model/x.parquet", True),
        ("current/model", "runs/a/model/x.parquet", False),
        ("current/model", "runs/b/evaluation/x.parquet", False),
    ],
)
def test_a_need_covers(needs: str, name: str, needed: bool) -> None:
    assert RUNS.covers(name, [needs]) == needed
    assert (name in missing([name], [], [needs], RUNS)) == needed
    assert missing([name], [name], [needs], RUNS) == []
    assert missing([name], [], None, RUNS) == [name]
    assert not is_always_here(name)


def test_without_a_run_tables_of_all_runs_are_needed() -> None:
    assert Runs(None, None).covers("runs/c/model/x.parquet", ["runs/*/model"])
    assert not Runs(None, None).covers("runs/c/model/x.parquet", ["current/model"])


@pytest.mark.parametrize(
    "name",
    ["store.json", "tasks/a/train.json", "catalogue/a.csv", "lists/deny.txt", "tune/a.journal"],
)
def test_records_and_what_is_small_is_always_here(name: str) -> None:
    assert is_always_here(name)
