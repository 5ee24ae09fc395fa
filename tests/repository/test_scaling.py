"""The example of a cluster on Kubernetes fits to the locks and to itself."""

import re

import yaml

from tests.support.repository import ROOT, blocks


def test_the_example_of_a_ray_cluster_has_the_locks_version_and_one_token_for_all() -> None:
    [example] = blocks("docs/scaling.md", "yaml")
    spec = yaml.safe_load(example)["spec"]
    lock = (ROOT / "requirements" / "ray.txt").read_text()
    assert re.search(rf"^ray(\[.*\])?=={spec['rayVersion']} ", lock, flags=re.MULTILINE)
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    nodes = [node for group in groups for node in group["template"]["spec"]["containers"]]
    tokens = [
        [entry for entry in node["env"] if entry["name"] == "RAY_AUTH_TOKEN"] for node in nodes
    ]
    assert len(nodes) == 2
    assert tokens[0] == tokens[1] != []
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
