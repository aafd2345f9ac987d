"""Modules are compiled while the rest of their wheel arrives; what comes of it has a name only when the wheel has."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from paddle_bootstrap.errors import WrongBytes
from paddle_bootstrap.fetch.store import Store, bytecode_of
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.host.pythons import probe
from paddle_bootstrap.install.bytecode import Early
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.lock.pieces import measure
from tests.fakes.mirror import FakeMirror, Fault
from tests.unit.fetch.conftest import Bring


@pytest.fixture
def made(tmp_path: Path) -> tuple[Wheel, bytes]:
    """A wheel of some modules, one of which is none, and 9 MB that do not shrink."""
    into = BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(30):
            archive.writestr(f"demo/part{number}.py", f"NUMBER = {number}\n")
        archive.writestr("demo/template.py", "{{ this is no Python }} =\n")
        archive.writestr("demo/big.so", os.urandom(9_000_000))
    data, path = into.getvalue(), tmp_path / "demo-1-py3-none-any.whl"
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    wheel = Wheel("demo", "1", path.name, len(data), digest)
    return replace(wheel, pieces=measure(path).pieces), data


@pytest.fixture
def python() -> Interpreter:
    return probe(sys.executable)


def test_bytecode_is_there_with_the_wheel(
    bring: Bring, store: Store, made: tuple[Wheel, bytes], python: Interpreter, environ: Mapping[str, str]
) -> None:
    wheel, data = made
    with FakeMirror({wheel.filename: data}) as mirror:
        bring(wheel, mirror.url, unpack=True, compiler=Early(python, environ))
    place = store.unpacked(wheel)
    assert place
    (compiled,) = bytecode_of(place)
    found = {path.relative_to(compiled).as_posix() for path in compiled.rglob("*.pyc")}
    assert found == {f"demo/part{number}.{sys.implementation.cache_tag}.pyc" for number in range(30)}
    part = (compiled / f"demo/part7.{sys.implementation.cache_tag}.pyc").read_bytes()
    source = (place / "demo/part7.py").stat()
    assert part[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(part[8:12], "little") == int(source.st_mtime)
    assert not any((store.root / "unpacking").iterdir())


def test_a_python_that_fails_costs_only_the_bytecode(
    bring: Bring, store: Store, made: tuple[Wheel, bytes], python: Interpreter, environ: Mapping[str, str]
) -> None:
    wheel, data = made
    broken = replace(python, path="/bin/false")
    with FakeMirror({wheel.filename: data}) as mirror:
        bring(wheel, mirror.url, unpack=True, compiler=Early(broken, environ))
    place = store.unpacked(wheel)
    assert place
    assert bytecode_of(place) == []
    assert not any((store.root / "unpacking").iterdir())


def test_a_wheel_that_is_wrong_leaves_no_bytecode(
    bring: Bring, store: Store, made: tuple[Wheel, bytes], python: Interpreter, environ: Mapping[str, str]
) -> None:
    wheel, data = made
    wrong = bytearray(data)
    wrong[5_000_000] ^= 1
    with FakeMirror({wheel.filename: data}) as liar:
        liar.faults[wheel.filename] = Fault(body=bytes(wrong))
        with pytest.raises(WrongBytes):
            bring(wheel, liar.url, unpack=True, compiler=Early(python, environ))
    assert store.unpacked(wheel) is None
    assert list(store.root.rglob("*.pyc")) == []
