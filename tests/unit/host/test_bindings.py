"""Which module answers to the name pynvml: read by a real environment that has the right one, another one, or none."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.fakes.host import FakeHost

ROOT = Path(__file__).resolve().parents[3]
COLLECT = """
import json
from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.host.facts import to_json
print(json.dumps(to_json(collect())))
"""


class Environment:
    """An environment whose only distributions are those a test puts there."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True, with_pip=False)
        self.python = folder / "bin" / "python"
        (self.site,) = folder.glob("lib/python*/site-packages")

    def add(self, name: str, version: str, files: dict[str, str]) -> None:
        """What pip leaves of a distribution: its files and its metadata."""
        files = {
            **files,
            f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        }
        for path, content in files.items():
            (self.site / path).parent.mkdir(parents=True, exist_ok=True)
            (self.site / path).write_text(content)

    def collect(self, environ: dict[str, str]) -> Any:
        command = [str(self.python), "-c", COLLECT]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


@pytest.fixture
def host(tmp_path: Path) -> dict[str, str]:
    return FakeHost().write(tmp_path / "host")


REAL = {"pynvml.py": Path(str(pynvml.__file__)).read_text(encoding="utf-8")}


def test_the_right_one(environment: Environment, host: dict[str, str]) -> None:
    environment.add("nvidia_ml_py", version("nvidia-ml-py"), REAL)
    facts = environment.collect(host)
    assert facts["pynvml_problem"] is None
    assert len(facts["gpus"]) == 1


def test_as_debian_installs_it(environment: Environment, host: dict[str, str]) -> None:
    egg = f"nvidia_ml_py-{version('nvidia-ml-py')}.egg-info"
    environment.add(
        "other", "1", {**REAL, f"{egg}/PKG-INFO": f"Name: nvidia-ml-py\nVersion: {version('nvidia-ml-py')}\n"}
    )
    assert environment.collect(host)["pynvml_problem"] is None


def test_shadowed_by_the_distribution_called_pynvml(environment: Environment, host: dict[str, str]) -> None:
    environment.add("nvidia_ml_py", version("nvidia-ml-py"), REAL)
    environment.add("pynvml", "11.5.3", {"pynvml/__init__.py": "raise AssertionError('imported')"})
    facts = environment.collect(host)
    problem = facts["pynvml_problem"]
    assert "the distribution called pynvml shadows nvidia-ml-py's module" in problem
    assert f"{environment.python} -m pip uninstall -y pynvml" in problem
    assert facts["gpus"]["unknown"] == facts["driver"]["library"]["unknown"] == problem


def test_a_module_of_nobody(environment: Environment, host: dict[str, str]) -> None:
    environment.add("other", "1", {"pynvml.py": "raise AssertionError('imported')"})
    assert "is not nvidia-ml-py's" in environment.collect(host)["pynvml_problem"]


@pytest.mark.parametrize("found", ["12.560.30", "13.579", "9"])
def test_too_old(environment: Environment, host: dict[str, str], found: str) -> None:
    environment.add("nvidia_ml_py", found, {"pynvml.py": "raise AssertionError('imported')"})
    problem = environment.collect(host)["pynvml_problem"]
    assert problem.startswith(f"nvidia-ml-py {found} misreads newer drivers, 13.580 or newer is needed; run: ")


def test_none(environment: Environment, host: dict[str, str]) -> None:
    assert environment.collect(host)["pynvml_problem"].startswith("the module pynvml is not installed; run: ")


def test_damaged(environment: Environment, host: dict[str, str]) -> None:
    environment.add("nvidia_ml_py", "13.999", {"pynvml.py": "raise ImportError('half a file')"})
    facts = environment.collect(host)
    expected = "the process that asks NVML ended with code 1 while it started: ImportError: half a file"
    assert facts["gpus"]["unknown"] == expected
