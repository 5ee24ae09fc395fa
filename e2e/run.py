"""`make e2e`: boot docker-compose.yaml's stack, run the DAG twice, kill a worker in the second run.

With --ray all tasks use the cluster of the profile `ray`, and one of its nodes dies, too.

The stack has its own project name, secrets, port and volumes, and is taken down with them however
this ends.
"""

import argparse
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq

from cofi_jobs.store.layout import TEMPORARY
from cofi_jobs.store.store import Store
from deploy.trigger import STORE, Airflow, put, read_environment
from tests.support.data import random_ratings, write_ratings
from tests.support.ports import free_port

ROOT = Path(__file__).parents[1]
IMAGE = "cofi:e2e"
SECONDS = 40 * 60  # for all but building the images
STARTED = time.monotonic()


def main() -> None:
    """Everything, in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ray", action="store_true", help="with engine=ray and its profile")
    on_ray = parser.parse_args().ray
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    os.chdir(ROOT)
    for name in re.findall(r"\$\{(\w+)", Path("docker-compose.yaml").read_text()):
        os.environ.pop(name, None)  # the shell's would win over those of the test's own file
    with tempfile.TemporaryDirectory(prefix="cofi-e2e-") as folder, engine():
        build_images("ray.txt" if on_ray else "")
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done after {SECONDS} seconds"))
        signal.alarm(SECONDS)
        with stack(Path(folder), on_ray) as (compose, environment):
            check_rights(compose, on_ray)
            nights(Path(folder), compose, Airflow(environment), on_ray)
    say("done")


# ---- the engine and the images


@contextmanager
def engine() -> Iterator[None]:
    """A container engine that answers: the machine's own, or one that a script starts and ends."""
    if not engine_answers():
        script = standins("no container engine answers")
        host = re.search(r"export DOCKER_HOST=(\S+)", output(script, "env"))
        if host:
            os.environ["DOCKER_HOST"] = host[1]
    if engine_answers():
        yield
        return
    say("starting a container engine")
    if call(script, "engine").returncode or not engine_answers():
        sys.exit(f"no container engine could be started, {script} says why above")
    try:
        yield
    finally:
        call(script, "down")


def engine_answers() -> bool:
    """Whether there is an engine, and Compose."""
    try:
        checks = (["docker", "version"], ["docker", "compose", "version"])
        return all(
            subprocess.run(c, capture_output=True, timeout=20).returncode == 0 for c in checks
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def standins(reason: str) -> str:
    """The script that replaces what this machine has not."""
    script = os.environ.get("STANDIN_IMAGES", "")
    if not Path(script).is_file():
        sys.exit(f"{reason}, and there is no script {script!r} to help; STANDIN_IMAGES names it")
    return str(Path(script).resolve())


def build_images(extra_locks: str) -> None:
    """The images that the stack stands on, public or stand-ins, and the project's own."""
    texts = Path("docker-compose.yaml").read_text() + Path("Dockerfile").read_text()
    public = re.findall(r"(?:image:|FROM) ([a-z/]+:\S+)", texts)
    for image in public:
        if (
            subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode
            == 0
        ):
            continue
        say(f"pulling {image}")
        if call("timeout", "300", "docker", "pull", "--quiet", image).returncode:
            script = standins(f"{image} cannot be pulled")
            say("building stand-ins for the public images, some minutes")
            if call(script, "all").returncode:
                sys.exit(f"the stand-in images could not be built, {script} says why above")
            break
    say("building the project's image")
    # The host's network: package registries are reached as from this machine.
    options = ["--network", "host", "--build-arg", f"EXTRA_LOCKS={extra_locks}", "--tag", IMAGE]
    if call("docker", "build", "--quiet", *options, ".").returncode:
        sys.exit("the project's image could not be built, the reason is above")


# ---- the stack


@contextmanager
def stack(folder: Path, on_ray: bool) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The running stack: the Compose command for it and the variables of its .env."""
    files = ["--file", "docker-compose.yaml", "--file", "e2e/override.yaml"]
    refused = subprocess.run(
        ["docker", "compose", "--env-file", "/dev/null", *files, "config"],
        capture_output=True,
        text=True,
    )
    check(
        refused.returncode != 0 and "make secrets writes it" in refused.stderr,
        "Compose refuses without secrets",
    )

    env_file = folder / ".env"
    for code in (0, 1):  # a second time it refuses to overwrite
        written = subprocess.run(
            [sys.executable, "deploy/write_secrets.py", env_file], capture_output=True
        )
        check(written.returncode == code, f"make secrets ends with {code}")
    check(env_file.stat().st_mode & 0o777 == 0o600, "only the owner reads the secrets")
    with env_file.open("a") as file:
        file.write(f"UI_PORT={free_port()}\nIMAGE={IMAGE}\nWORKER_MEMORY=3g\n")
        if on_ray:
            file.write("COMPOSE_PROFILES=ray\nENGINE=ray\n")

    project = f"cofi-e2e-{secrets.token_hex(3)}"
    compose = ["docker", "compose", "--env-file", str(env_file), "--project-name", project, *files]
    try:
        say("starting the stack, with two workers")
        up = [
            "up",
            "--detach",
            "--wait",
            "--wait-timeout",
            "600",
            "--no-build",
            "--scale",
            "airflow-worker=2",
        ]
        check(
            call(*compose, "--progress", "quiet", *up).returncode == 0, "every service is healthy"
        )
        yield compose, read_environment(env_file)
    except BaseException:
        signal.alarm(0)
        call(*compose, "ps", "--all")
        call(*compose, "logs", "--tail", "25")
        raise
    finally:
        signal.alarm(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        say("taking the stack down")
        down = ["--progress", "quiet", "down", "--volumes", "--remove-orphans", "--timeout", "5"]
        subprocess.run([*compose, *down], start_new_session=True, check=True)


# ---- what is tested


def check_rights(compose: list[str], on_ray: bool) -> None:
    """What a service may not do, tried in its container."""
    refused = {
        "airflow-worker": ("touch /opt/cofi/dags/x.py", "touch /home/airflow/x"),
        "airflow-scheduler": (f"touch {STORE}/x",),
        "airflow-api-server": (f"touch {STORE}/landing/x", "touch /opt/cofi/x"),
        "airflow-dag-processor": (f"ls {STORE}/landing",),
        "postgres": ("touch /usr/x",),
        "redis": ("touch /usr/x", "env -u REDISCLI_AUTH redis-cli ping | grep PONG"),
    }
    if on_ray:
        refused["ray-worker"] = (f"touch {STORE}/landing/x", "RAY_AUTH_TOKEN=another ray status")
    for service, commands in refused.items():
        for command in commands:
            tried = [*compose, "exec", "-T", service, "sh", "-c", command]
            ended = subprocess.run(tried, capture_output=True).returncode
            check(ended not in (0, 126, 127), f"{service} cannot do {command!r}")


def nights(folder: Path, compose: list[str], airflow: Airflow, on_ray: bool) -> None:
    """A night with a param changed; a night whose worker dies."""

    def inside(*command: str) -> str:
        return output(*compose, "exec", "-T", "airflow-scheduler", *command)

    def current() -> str:
        return json.loads(inside("cat", f"{STORE}/CURRENT.json"))["run_key"]

    def read_store(name: str) -> Store:
        check(
            call(
                *compose,
                "--progress",
                "quiet",
                "cp",
                f"airflow-scheduler:{STORE}",
                str(folder / name),
            ).returncode
            == 0,
            "store is read",
        )
        return Store(folder / name)

    say("first night: top_n = 7")
    first, second = (random_ratings(n_users=n, seed=n) for n in (30, 40))
    put(compose, write_ratings(folder / "first.csv", first), "landing")
    run_id = airflow.trigger({"top_n": 7})
    wait(lambda: airflow.state(run_id) not in ("queued", "running"), "end of the first night", 900)
    check(airflow.state(run_id) == "success", "the first night succeeds")
    check(airflow.tasks(run_id)["train"]["pool"] == "cofi_train", "train has the pool of one slot")
    store, first_key = read_store("after-first"), current()
    check_outputs(store, first_key, set(first["userId"]), top_n=7)

    say("second night: the worker dies in train")
    put(compose, write_ratings(folder / "second.csv", second), "landing")
    # Long enough to be met in the middle; a step on a cluster takes longer.
    run_id = airflow.trigger({"rating_steps": 1000 if on_ray else 5000})
    log = f"/opt/airflow/logs/dag_id=cofi_nightly/run_id={run_id}/task_id=train/attempt=1.log"

    def lines_of_fits() -> int:
        return inside("sh", "-c", 'cat "$1" 2>&1 || true', "-", log).count("model: step")

    wait(lambda: lines_of_fits() > 0, "training", 400)
    if on_ray:
        node = output(*compose, "ps", "--quiet", "ray-worker").split()[0]
        kill_all_in(node)
        n_lines = lines_of_fits()
        wait(lambda: lines_of_fits() > n_lines, "training without the node", 400)
    worker = airflow.tasks(run_id)["train"]["hostname"]
    kill_all_in(worker)
    check(
        airflow.tasks(run_id)["train"]["state"] == "running",
        "the worker died in the middle of train",
    )

    def ended() -> bool:
        key, tasks = (
            current(),
            airflow.tasks(run_id),
        )  # in this order: the key is not newer than the states
        check(
            key == first_key or tasks["publish"]["state"] in ("running", "success"),
            "readers stay on the first run",
        )
        return airflow.state(run_id) not in ("queued", "running")

    wait(ended, "end of the second night", 900)
    train = airflow.tasks(run_id)["train"]
    check(airflow.state(run_id) == "success", "the second night succeeds")
    check(train["try_number"] == 2, "train was tried twice")
    store, second_key = read_store("after-second"), current()
    check(second_key > first_key, "readers are on the second run")
    check_outputs(store, second_key, set(first["userId"]) | set(second["userId"]), top_n=20)
    check_outputs(store, first_key, set(first["userId"]), top_n=7)
    left = [str(path) for path in store.root.rglob(f"{TEMPORARY}*")]
    check(not left, f"nothing temporary is left: {left}")
    check(
        output("docker", "inspect", "--format", "{{.RestartCount}}", worker) == "1",
        "the worker was restarted",
    )
    health = ["docker", "inspect", "--format", "{{.State.Health.Status}}", worker]
    wait(lambda: output(*health) == "healthy", "the worker's health", 200)


def check_outputs(store: Store, run_key: str, users: set[int], top_n: int) -> None:
    """A published run is whole: its files are those of the manifest, and each user has a list."""
    manifest: dict[str, Any] = store.manifest(run_key) or {}
    check(bool(manifest), f"run {run_key} is published")
    for file in manifest["files"]:
        rows = pq.read_metadata(store.root / "runs" / run_key / file["path"]).num_rows
        check(rows == file["rows"], f"{file['path']} has {file['rows']} rows")
    lists = pq.read_table(store.table(run_key, "recommendations")).to_pandas()
    check(set(lists["user_id"]) == users, "every user has a list")
    check(
        lists["rank"].max() <= top_n and manifest["settings"]["top_n"] == top_n, f"top_n is {top_n}"
    )
    similar = pq.read_table(store.table(run_key, "similar_items")).to_pandas()
    check(
        similar.groupby("item_id").size().eq(4).all(),
        "similar_n is 4, as the environment of the stack says",
    )


def kill_all_in(container: str) -> None:
    """Kill all processes of a container, from inside: after `docker kill` it would stay down."""
    command = ["python", "-c", "import os; os.kill(-1, 9)"]
    subprocess.run(["docker", "exec", container, *command], capture_output=True)
    say(f"killed {container}")


# ---- small things


def say(text: str) -> None:
    """A line with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:4.0f} s] {text}", flush=True)


def fail(text: str) -> NoReturn:
    """End with what was expected."""
    sys.exit(f"failed: expected that {text}")


def check(holds: bool, text: str) -> None:
    """End unless it holds."""
    if not holds:
        fail(text)


def wait(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Ask until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            fail(f"{what} comes within {seconds:.0f} seconds")
        time.sleep(2)


def call(*command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose output is for the reader."""
    return subprocess.run(command)


def output(*command: str) -> str:
    """What a command writes."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
