"""What a task declares about itself, and what follows from the declarations of all tasks.

This module imports nothing heavy, so that DAG files can use it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cofi_jobs.core.credentials import CONNECTION

Declared = Mapping[str, "Task"]

FINAL_TASK = "publish"  # makes a run final


@dataclass(frozen=True)
class Credential:
    """A setting that names an Airflow connection.

    `variable` is the environment variable in which the task gets the connection's content. The
    address of a cluster may be one, as of a store: "connection:<id>".
    """

    setting: str
    variable: str
    kind: Literal["database", "files", "cluster"]

    def names_connection(self, value: str | None) -> bool:
        """Whether the setting's value names one."""
        if not value:
            return False
        return self.kind != "cluster" or value.startswith(CONNECTION)


@dataclass(frozen=True)
class Task:
    """One task. The module `cofi_jobs.tasks.<name>` has its function `run`.

    Folders are named as in `Store.lock`: "ratings", "runs/*/model" of the run, "current/model" of
    the run that readers use.
    """

    name: str
    summary: str  # one sentence: what it does
    about: str = ""  # more about it, for Airflow's UI, in Markdown
    # For Airflow's UI, in Markdown: what follows "If it fails, ".
    if_it_fails: str = "clear it: it can be run again."
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    maintains: tuple[str, ...] = ()  # folders that it uses or cleans besides
    reads_besides: str = ""  # what is no folder, in words
    writes_besides: str = ""
    needs: tuple[str, ...] = ()  # tasks of the same run that must have ended well
    after: tuple[str, ...] = ()  # tasks that come before it, but that it can do without
    begins_run: bool = False  # makes the store; gets the run's input; keeps its record in a rerun
    every_run: bool = True  # False: only on demand, or only if a setting asks for it
    repeatable: bool = False  # also once the run is published: it rewrites nothing that readers use
    of_failed_runs: bool = False  # also runs when a task in `after` has failed
    learns: bool = False  # uses TensorFlow
    prepares: bool = False  # its module's `prepare` runs before the tuned settings are read
    only_with: str | None = None  # in the DAG it is skipped unless this setting is set
    credentials: tuple[Credential, ...] = ()
    memory: str = "nothing that grows"  # in words: what its memory grows with, or its bound
    counts: tuple[str, ...] = ()  # fields of its outcome that the manifest has

    @property
    def of_every_night(self) -> bool:
        """Whether the nightly DAG has it: it is of every run, or a setting switches it on."""
        return self.every_run or self.only_with is not None

    @property
    def command(self) -> str:
        """Its command on the command line."""
        return self.name.replace("_", "-")

    @property
    def sections(self) -> tuple[str, str]:
        """Sections of the settings that it gets: its own, and those of every task."""
        return (self.name, "machine")

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders that it touches: what a store in a bucket downloads for it."""
        return (*self.reads, *self.writes, *self.maintains)

    @property
    def note(self) -> str:
        """What Airflow's UI shows of the task, as Markdown."""
        parts = (
            self.summary,
            self.about,
            f"**Reads** {self.inputs}. **Writes** {self.outputs}.",
            f"**If it fails**, {self.if_it_fails}",
        )
        return "\n\n".join(part for part in parts if part)

    @property
    def inputs(self) -> str:
        """What it reads, in words."""
        return _listed(self.reads, self.reads_besides)

    @property
    def outputs(self) -> str:
        """What it writes, in words."""
        return _listed(self.writes, self.writes_besides)


def before(declared: Declared, name: str) -> list[str]:
    """Tasks right before a task.

    Publication makes a run final: it waits for all other tasks of the run.
    """
    task = declared[name]
    direct = [*task.needs, *task.after]
    if name == FINAL_TASK:
        run = [
            t for t in declared.values() if t.every_run and not _follows_publication(declared, t)
        ]
        inner = {earlier for other in run for earlier in (*other.needs, *other.after)}
        direct += [other.name for other in run if other.name not in {name, *inner, *direct}]
    return direct


def in_order(declared: Declared) -> list[Task]:
    """All tasks, each after those before it; else as they are declared."""
    ordered: list[Task] = []
    waiting = list(declared.values())
    while waiting:
        names = {task.name for task in waiting}
        ready = next((t for t in waiting if not names & {*before(declared, t.name)}), None)
        if ready is None:
            raise ValueError(f"the tasks {', '.join(sorted(names))} wait for each other")
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def nightly(declared: Declared) -> list[Task]:
    """The tasks of the nightly DAG: those of every run, and those that a setting switches on."""
    return [task for task in in_order(declared) if task.of_every_night]


def required(declared: Declared, name: str) -> list[str]:
    """Tasks without which a task cannot run, directly or not, in their order."""
    needed = _closure(declared[name].needs, lambda task: declared[task].needs)
    return [task.name for task in in_order(declared) if task.name in needed]


def invalidated_by(declared: Declared, name: str) -> set[str]:
    """Tasks of a run whose results are out of date once a task runs again."""

    def readers_of(task_name: str) -> set[str]:
        written = {*declared[task_name].writes}
        return {
            task.name
            for task in declared.values()
            if task.every_run and (task_name in task.needs or written & {*task.reads})
        } - {task_name}

    return _closure(readers_of(name), readers_of)


def runs_when_published(declared: Declared, name: str) -> bool:
    """Whether a task has something to do in a run that is published already."""
    task = declared[name]
    return task.repeatable or _follows_publication(declared, task)


def table(declared: Declared) -> str:
    """The tasks as a Markdown table, for docs/operating.md."""
    rows = [
        (
            f"`{task.name}`",
            task.summary,
            task.inputs,
            task.outputs,
            ", ".join(f"`{name}`" for name in task.needs),
        )
        for task in in_order(declared)
    ]
    return _markdown(("task", "what it does", "reads", "writes", "needs"), rows)


def table_of_needs(declared: Declared) -> str:
    """What each task needs of the machine it runs on, as a Markdown table."""
    rows = [
        (
            f"`{task.name}`",
            task.memory,
            "TensorFlow" if task.learns else "",
            ", ".join(f"`{credential.setting}`" for credential in task.credentials),
        )
        for task in in_order(declared)
    ]
    return _markdown(("task", "memory grows with", "imports", "connections, if set"), rows)


def _markdown(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _follows_publication(declared: Declared, task: Task) -> bool:
    return FINAL_TASK in _closure(task.needs, lambda name: declared[name].needs)


def _listed(folders: Iterable[str], besides: str) -> str:
    names = [f"`{name.removeprefix('runs/*/')}/`" for name in folders]
    return ", ".join([*names, *filter(None, [besides])]) or "nothing"


def _closure(first: Collection[str], following: Callable[[str], Collection[str]]) -> set[str]:
    reached, waiting = set(), [*first]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(following(name))
    return reached
