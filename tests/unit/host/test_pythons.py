"""Interpreters: the real one that runs the tests, and programs that pretend to be one, or are none."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoInterpreter, UsageError
from paddle_bootstrap.host.pythons import choose, find, planned, probe, search
from tests.unit.harness.folders import gone

MARKERS = {
    *("implementation_name", "implementation_version", "os_name", "platform_machine", "platform_python_implementation"),
    *(
        "platform_release",
        "platform_system",
        "platform_version",
        "python_full_version",
        "python_version",
        "sys_platform",
    ),
}
Program = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program that prints ``text`` whatever it is asked, then runs ``more``."""

    def writer(path: str, text: str, more: str = "") -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n{more}\n")
        file.chmod(0o755)
        return file

    return writer


def told(version: str, **more: object) -> str:
    """What the probe of a Python of that version prints."""
    plain: dict[str, object] = {"version": version, "implementation": "cpython", "markers": {}, "free_threaded": False}
    plain |= {"prefix": "/p", "base_prefix": "/p", "site_packages": "/p/s"}
    return json.dumps({**plain, **more})


def test_the_python_that_runs_the_tests() -> None:
    found = probe(sys.executable)
    major, minor = sys.version_info[:2]
    assert found.version.split(".") == [str(part) for part in sys.version_info[:3]]
    assert found.minor == f"{major}.{minor}"
    assert found.implementation == "cpython"
    assert set(found.markers) == MARKERS
    assert found.markers["python_version"] == f"{major}.{minor}"
    assert f"cp{major}{minor}-cp{major}{minor}-manylinux2014_x86_64" in found.tags
    assert "py3-none-any" in found.tags
    assert (found.prefix, found.base_prefix) == (sys.prefix, sys.base_prefix)
    assert found.site_packages == sysconfig.get_path("platlib")


def test_an_environment_is_not_its_base(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    found = probe(tmp_path / "env/bin/python")
    assert found.path == str(tmp_path / "env/bin/python")
    assert (found.prefix, found.base_prefix) == (str(tmp_path / "env"), sys.base_prefix)


def test_tags_are_of_the_version_told(program: Program) -> None:
    found = probe(program("python3.9", told("3.9.18")))
    assert "cp39-cp39-manylinux2014_x86_64" in found.tags
    assert "cp38-abi3-manylinux2014_x86_64" in found.tags
    assert not [tag for tag in found.tags if tag.startswith("cp310")]
    assert probe(program("python3.13t", told("3.13.1", free_threaded=True))).tags[0].startswith("cp313-cp313t-")
    assert probe(program("pypy3.10", told("3.10.14", implementation="pypy"))).tags == ()


def test_what_is_no_python(program: Program, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    cases = {
        program("garbage", "hello"): "is not a Python: it did not answer as one",
        program("other-json", "{}"): "is not a Python: it did not answer as one",
        program("list", "[]"): "is not a Python: it did not answer as one",
        program("failing", "", "echo first >&2; echo last words >&2; exit 3"): "is not a usable Python: last words",
        program("silent", "", "exit 3"): "is not a usable Python: exit code 3",
        program("crashing", "", "kill -SEGV $$"): "is not a usable Python: exit code -11",
        tmp_path / "missing": "cannot be run: No such file or directory",
        tmp_path / "plain": "cannot be run: Permission denied",
    }
    for path, reason in cases.items():
        with pytest.raises(NoInterpreter) as caught:
            probe(path)
        assert str(caught.value) == f"{path} {reason}"


def test_one_that_never_answers(program: Program) -> None:
    path = program("python3", "", "exec sleep 60")
    with pytest.raises(NoInterpreter, match=r"python3 did not answer in 0\.3 s$"):
        probe(path, deadline=0.3)


@pytest.fixture
def host(program: Program, tmp_path: Path) -> dict[str, str]:
    """Pythons in every place where they are looked for, and things of similar names."""
    program("bin/python3.97", told("3.97.2"))
    program("bin/python3-config", told("3.96.0"))
    program("bin/python3.95", "not one")
    (tmp_path / "bin/python3").symlink_to("python3.97")
    program("pyenv/versions/3.98.0/bin/python", told("3.98.0"))
    program("pyenv/shims/python3.94", told("3.94.0"))
    program("uv/cpython-3.99/bin/python3", told("3.99.10"))
    program("uv/cpython-3.99.9/bin/python3", told("3.99.9"))
    program("uv/pypy/bin/python3", told("3.99.11", implementation="pypy"))
    return {
        "PATH": os.pathsep.join(["", str(tmp_path / "pyenv/shims"), str(tmp_path / "nowhere"), str(tmp_path / "bin")]),
        "PYENV_ROOT": str(tmp_path / "pyenv"),
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv"),
        "HOME": str(tmp_path),
    }


def test_find(host: dict[str, str], tmp_path: Path) -> None:
    ours = [item for item in find(host) if item.path.startswith(str(tmp_path))]
    assert [item.version for item in ours] == ["3.99.11", "3.99.10", "3.99.9", "3.98.0", "3.97.2"]


@pytest.mark.parametrize(
    ("wanted", "minors", "version"),
    [
        (None, (), "3.99.10"),
        (None, ("3.97", "3.98"), "3.98.0"),
        ("3.97", ("3.98",), "3.97.2"),
        ("3.99.9", (), "3.99.9"),
        ("python3.98", (), "3.98.0"),
    ],
)
def test_choose(host: dict[str, str], wanted: str | None, minors: tuple[str, ...], version: str) -> None:
    assert choose(wanted, minors, host).version == version


def test_choose_a_path(host: dict[str, str], program: Program) -> None:
    path = program("elsewhere/mine", told("3.93.0"))
    assert choose(str(path), ("3.98",), host).version == "3.93.0"


@pytest.mark.parametrize(
    ("wanted", "minors", "message"),
    [
        ("3.9.7", (), "Python 3.9.7 was not found on this host"),
        ("3.99.1", (), "Python 3.99.1 was not found on this host"),
        (None, ("3.0", "3.1"), "a Python that the lock serves (3.0, 3.1) was not found on this host"),
    ],
)
def test_none_fits(
    host: dict[str, str], wanted: str | None, minors: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(NoInterpreter) as caught:
        choose(wanted, minors, host)
    assert str(caught.value) == message
    reason = f"not {wanted}" if wanted else "the lock has no wheel for it"
    assert f"found cpython 3.97.2: {tmp_path}/bin/python3 ({reason})" in caught.value.tried
    assert f"found pypy 3.99.11: {tmp_path}/uv/pypy/bin/python3 (not CPython)" in caught.value.tried
    assert f"{tmp_path}/bin/python3.95 is not a Python: it did not answer as one" in caught.value.tried
    assert caught.value.hint


def test_what_is_no_version_either(host: dict[str, str]) -> None:
    for wanted in ("3.x", ">=3.9", "pypy3.10", "py3"):
        with pytest.raises(UsageError, match="neither a version nor a path"):
            choose(wanted, (), host)


@pytest.mark.parametrize(
    ("told_more", "reason"),
    [
        ({"free_threaded": True}, "free-threaded"),
        ({"bits": 32}, "32 bits"),
        ({"platform": "x86_64-linux-musl"}, "of musl, no glibc"),
    ],
)
def test_odd_ones_are_found_and_not_taken(
    host: dict[str, str], program: Program, told_more: dict[str, object], reason: str
) -> None:
    odd = program("bin/python3.93", told("3.93.1", **told_more))
    assert probe(odd).odd == reason
    assert bool(probe(odd).tags) == (reason == "free-threaded")
    with pytest.raises(NoInterpreter) as caught:
        choose("3.93", (), host)
    assert f"found cpython 3.93.1: {odd} ({reason})" in caught.value.tried


def test_conda_comes_last_of_its_minor_version(host: dict[str, str], program: Program, tmp_path: Path) -> None:
    for place in ("miniconda3", "miniconda3/envs/one", "other", "noted", "opt/envs/two", "active"):
        program(f"{place}/bin/python3", told(f"3.98.{len(place)}", conda=True))
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda/environments.txt").write_text(f"{tmp_path}/noted\n{tmp_path}/gone\n\n")
    more = {"CONDA_PREFIX": f"{tmp_path}/active", "CONDA_EXE": f"{tmp_path}/other/bin/conda"}
    more["MAMBA_ROOT_PREFIX"] = str(tmp_path / "opt")
    found = [item.version for item in find({**host, **more}) if item.minor == "3.98"]
    assert found == ["3.98.0", "3.98.19", "3.98.12", "3.98.10", "3.98.6", "3.98.5", "3.98.5"]
    assert choose("3.98", (), {**host, **more}).conda is False


def test_all_together_have_one_deadline(program: Program, tmp_path: Path) -> None:
    """Each of them hangs, with a child that holds its output open; the children are ended too."""
    for number in range(40, 50):
        program(f"bin/python3.{number}", "", f"sleep 300 & echo $! > {tmp_path}/child.{number}; wait")
    begun = time.monotonic()
    seen = search({"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}, deadline=0.5)
    assert time.monotonic() - begun < 4.5  # one after the other they would take 5
    assert len([line for line in seen.silent if "did not answer in" in line]) == 10
    children = [int(path.read_text()) for path in tmp_path.glob("child.*")]
    assert children
    assert all(gone(pid) for pid in children)


def test_a_folder_is_asked_for_its_python(host: dict[str, str], program: Program, tmp_path: Path) -> None:
    program("env/bin/python3", told("3.93.0"))
    assert choose(f"{tmp_path}/env", (), host).version == "3.93.0"


def test_a_planned_one_takes_what_a_real_one_takes() -> None:
    """Whoever is told of a Python that is not there yet is told the truth."""
    real = probe(sys.executable)
    promised = planned(real.version, Path("/nowhere/bin/python3"), "corp")
    assert (promised.tags, promised.minor, promised.offered) == (real.tags, real.minor, "corp")
    assert dict(promised.markers) == dict(real.markers)
    other = planned("3.9.20", Path("/nowhere/bin/python3.9"), "corp")
    assert "cp39-cp39-manylinux2014_x86_64" in other.tags
    assert (other.markers["python_version"], other.markers["python_full_version"]) == ("3.9", "3.9.20")


@pytest.mark.parametrize("variable", ["PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "PATH"])
def test_a_folder_that_cannot_be_looked_into_holds_none(host: dict[str, str], variable: str) -> None:
    """As root's PYENV_ROOT for another user; here a name that is too long, since the tests may run as root."""
    find({**host, variable: "/" + "x" * 300})
