"""Extras: one sentence names the missing one, and pyproject.toml lists all the code asks for."""

import importlib
import re
import sys
import tomllib

import pytest

from cofi_jobs.core.errors import SettingsError
from tests.support.repository import ROOT

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text()
    for path in sorted((ROOT / "cofi_jobs").rglob("*.py"))
}
# Module, extra, and the first package that the module imports with it.
IMPORTS = [
    (module, *found)
    for module, text in SOURCES.items()
    for found in re.findall(
        r'^with extra\("(\w+)"\):.*\n    (?:import|from) (\w+)', text, re.MULTILINE
    )
]


def test_each_extra_that_the_code_names_exists():
    named = {name for text in SOURCES.values() for name in re.findall(r"cofi\[(\w+)\]", text)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {"gcs", "postgres", "ray", "s3", "tune"}
    assert named | {extra for _, extra, _ in IMPORTS} == extras
    assert extras <= set(project["optional-dependencies"])


@pytest.mark.parametrize(("module", "extra", "package"), IMPORTS)
def test_a_missing_package_is_one_sentence(
    module: str, extra: str, package: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    expected = (
        rf"^found no package {package}, expected it installed: pip install 'cofi\[{extra}\]'$"
    )
    with pytest.raises(SettingsError, match=expected):
        importlib.import_module(module)
