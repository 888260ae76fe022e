"""The pins: every package at one version, the same in constraints.txt, environment.yml and the environment that runs these tests."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from rlcourse.authoring import constraints, install

COURSE = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = [Requirement(line) for name in ("test", "browser") for line in PROJECT["optional-dependencies"][name]]
PIN_LINES = [line for line in (COURSE / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
PINS = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in PIN_LINES}


def needed(roots: list[Requirement]) -> set[str]:
    """Names of everything that the requirements bring on this machine, themselves included, by the metadata of what is installed."""
    found, due = set(), [(canonicalize_name(each.name), frozenset(each.extras)) for each in roots]
    seen = set(due)
    while due:
        name, extras = due.pop()
        found.add(name)
        for requirement in map(Requirement, metadata.requires(name) or []):
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                child = (canonicalize_name(requirement.name), frozenset(requirement.extras))
                due += [child] if child not in seen else []
                seen.add(child)
    return found


def test_each_direct_dependency_is_pinned_to_a_version_that_pyproject_allows():
    assert len(PINS) == len(PIN_LINES), "a package is pinned twice"
    for requirement in DIRECT + EXTRAS:
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), str(requirement)


def test_everything_those_bring_is_pinned_and_is_what_this_environment_has():
    names = {name for name in needed(DIRECT + EXTRAS) if not name.startswith(constraints.PER_PLATFORM)}
    assert names - set(PINS) == set()
    own_torch = {"torch"} if install.read_stamp(Path(sys.prefix)).get("torch") == "system" else set()
    installed = {name: metadata.version(name).split("+")[0] for name in names - own_torch}
    assert installed == {name: PINS[name] for name in installed}


@pytest.mark.parametrize("python", ["3.11.0", "3.11.2", "3.12.0", "3.13.0"])
def test_every_pin_accepts_the_pythons_that_the_readme_promises(python):
    """Debian 12 has 3.11.2; a pin that wants 3.11.5 makes pip search for an hour and then give up."""
    wants = {name: metadata.metadata(name).get("Requires-Python") for name in needed(DIRECT + EXTRAS)}
    assert {name: wanted for name, wanted in wants.items() if wanted and not SpecifierSet(wanted).contains(python)} == {}


def test_an_installed_torch_from_2_9_on_will_do_and_what_is_installed_is_one_exact_version():
    asked = {each.name: each.specifier for each in DIRECT}
    assert all(version in asked["torch"] for version in ("2.9.0", "2.10.1", PINS["torch"])) and "2.8.0" not in asked["torch"]
    assert f"torch=={PINS['torch']}" in constraints.HELD_BACK
    assert "+" not in PINS["torch"] and str(asked["mujoco"]) == f"=={PINS['mujoco']}"
    command = install.pip_commands(COURSE, {"torch": "pinned", "extras": []})[0]
    assert command[command.index("-c") + 1] == "constraints.txt", "without the constraints pip takes the newest torch, with gigabytes of CUDA"
    assert not {"mujoco-core", "mujoco-studio"} & set(PINS)


def test_freeze_becomes_pins_without_suffix_ourselves_or_one_platforms_packages():
    lines = ["torch==2.13.0+cu130", "nvidia-cublas==13.0", "triton==3.7.0", "pip==23", "-e git+x#egg=rlcourse", "rlcourse==0.1.0"]
    pins = constraints.pin("\n".join([*lines, "arrow==1.4", "Jinja2==3", "greenlet==3.1"]))
    assert pins == ["arrow==1.4", "greenlet==3.1", "Jinja2==3", "torch==2.13.0"]


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error, and not silently the last one."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is given twice: {keys}"
        return super().construct_mapping(node, deep)


def environment_problems(text: str) -> list[str]:
    """What is wrong with an environment.yml of this course."""
    document = yaml.load(text, StrictLoader)
    *conda, pip = document["dependencies"]
    wanted = [f"{re.match(r'[^<>=]+', str(each))[0]}=={PINS[canonicalize_name(each.name)]}" for each in DIRECT]
    wrong = [f"top-level key {key}" for key in document if key not in ("name", "channels", "dependencies")]
    wrong += [f"conda part {conda}"] if [line.split("=")[0] for line in conda] != ["python", "pip"] else []
    wrong += ["Python"] if not re.fullmatch(r"python=3\.1[1-3]", conda[0]) else []
    wrong += ["not exactly one pip section"] if list(pip) != ["pip"] else []
    return wrong + [f"pip section: {sorted({*wanted} ^ {*pip['pip']})}"] * (pip["pip"] != ["-c constraints.txt", *wanted, "-e ."])


def test_environment_yml_is_strict_yaml_and_equals_pyproject_at_the_pinned_versions():
    text = (COURSE / "environment.yml").read_text(encoding="utf-8")
    assert environment_problems(text) == []
    numpy = f"- numpy=={PINS['numpy']}"
    for damaged in ["- numpy==1.0", f"{numpy}\n      {numpy}", "- scipy==1.0", "- numpy"]:
        assert environment_problems(text.replace(numpy, damaged)) != []
    assert environment_problems(text + "prefix: here\n") == ["top-level key prefix"]
    with pytest.raises(AssertionError, match="given twice"):
        environment_problems(text + "name: other\n")
