"""`make audit`: which packages of the locks have known vulnerabilities, by the OSV database.

Needs nothing but Python: a tool that judges the locked packages should not bring others along.
Where the database is not reached, it says so and ends well: then nothing was checked.
"""

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

OSV = "https://api.osv.dev"
MOST = 1000  # packages in one request
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)

Package = tuple[str, str]  # name and version


def pinned(locks: Iterable[str]) -> list[Package]:
    """All packages of locks, each once."""
    return sorted({package for lock in locks for package in PINNED.findall(lock)})


def known(packages: Sequence[Package], database: str) -> dict[Package, list[str]]:
    """Ids of the advisories of each package that has some. Raises OSError without an answer."""
    advisories = {}
    for start in range(0, len(packages), MOST):
        part = packages[start : start + MOST]
        queries = [{"package": {"ecosystem": "PyPI", "name": n}, "version": v} for n, v in part]
        request = urllib.request.Request(
            f"{database}/v1/querybatch",
            json.dumps({"queries": queries}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            results = json.load(answer)["results"]
        for package, result in zip(part, results, strict=True):
            advisories[package] = [advisory["id"] for advisory in result.get("vulns", ())]
    return {package: ids for package, ids in advisories.items() if ids}


def report(advisories: Mapping[Package, Sequence[str]], ignored: Collection[str]) -> list[str]:
    """A line for each package with advisories that nobody has looked at."""
    return [
        f"{name} {version}: {', '.join(new)}"
        for (name, version), ids in advisories.items()
        if (new := sorted(set(ids) - set(ignored)))
    ]


def main() -> None:
    """Look up the packages of the locks; exit code 1 if one has an advisory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", type=Path, nargs="+")
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="looked at")
    parser.add_argument("--database", default=OSV, help="another server of OSV's API")
    arguments = parser.parse_args()
    packages = pinned(path.read_text() for path in arguments.locks)
    try:
        lines = report(known(packages, arguments.database), arguments.ignore)
    except (OSError, ValueError, KeyError) as error:
        print(f"NOT CHECKED: {arguments.database} gave no answer ({error})")
        return
    print(*lines, sep="\n", end="\n" if lines else "")
    print(f"{len(packages)} packages, {len(lines)} with advisories")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
