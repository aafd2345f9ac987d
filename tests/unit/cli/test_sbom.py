"""``sbom``: valid by CycloneDX's own schema, the same bytes every time, and nothing in it that nobody knows."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.install import receipt
from paddle_bootstrap.lock import pylock
from tests.fakes.wheels import cpu_set, fill
from tests.unit.cli.conftest import Command
from tests.unit.install.test_receipt_and_space import RECEIPT

ROOT = Path(__file__).resolve().parents[3]
MIRROR = "corp (https://me:secret@corp.example/simple)"
ENTRIES = {
    "apache": "License: Apache-2.0\nClassifier: License :: OSI Approved :: MIT License\n",
    "expression": "License-Expression: MIT OR Apache-2.0\nLicense: whatever\n",
    "text": "License: Copyright (c) 2005\n        All rights\nClassifier: License :: OSI Approved :: BSD License\n"
    "Classifier: License :: OSI Approved :: MIT License\n",
    "silent": "",
}


def read(text: str) -> dict[str, Any]:
    """The document, once the schema has nothing against it."""
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert errors is None, errors
    found: dict[str, Any] = json.loads(text)
    return found


def component(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in document["components"] if each["name"] == name)
    return found


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def properties(of: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["name"].removeprefix("paddle-bootstrap:"), each["value"]) for each in of["properties"]]


@pytest.fixture
def target(here: Path, lock: Path) -> Path:
    """What an installation leaves of the things that are read here."""
    env = here / "env"
    site_packages = env / "lib/python3.11/site-packages"
    rows = []
    for name, text in ENTRIES.items():
        info = site_packages / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{text}\nLong text\n")
        filename = f"{name}-1-py3-none-any.whl"
        rows.append({"name": name, "version": "1", "filename": filename, "size": 7, "sha256": digest(name)})
    made = replace(RECEIPT, build={"version": "3.3.1"}, wheels=tuple(rows), origins={digest("apache"): [MIRROR]})
    receipt.write(env, made, lock, b"")
    return env


def test_of_a_target(command: Command, target: Path) -> None:
    said = command("sbom", "--env", target)
    assert said.code == 0, said.err
    document = read(said.out)
    apache = component(document, "apache")
    assert apache["purl"] == "pkg:pypi/apache@1"
    assert apache["hashes"] == [{"alg": "SHA-256", "content": digest("apache")}]
    assert properties(apache) == [
        ("file", "apache-1-py3-none-any.whl"),
        ("mirror", "corp (https://***@corp.example/simple)"),
        ("size", "7"),
    ]
    assert "secret" not in said.out
    assert "mirror" not in dict(properties(component(document, "silent")))
    assert document["metadata"]["component"]["name"] == "one"
    assert document["metadata"]["timestamp"] == "2026-01-01T00:00:00+00:00"
    assert ("lock-sha256", "a" * 64) in properties(document["metadata"]["component"])


def test_licences(command: Command, target: Path) -> None:
    document = read(command("sbom", "--env", target).out)
    told = {name: component(document, name).get("licenses", []) for name in ENTRIES}
    assert told["apache"][0]["license"]["id"] == "Apache-2.0"
    assert told["expression"][0]["expression"] == "MIT OR Apache-2.0"
    assert [each["license"]["name"] for each in told["text"]] == ["BSD License", "MIT License"]
    assert told["silent"] == []


def test_the_same_bytes_every_time(command: Command, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = command("sbom", "--env", target).out
    assert command("sbom", "--env", target, "-o", "bom.json").out == ""
    assert Path("bom.json").read_text() == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    dated = read(command("sbom", "--env", target).out)
    assert dated["metadata"]["timestamp"] == "1970-01-02T00:00:00+00:00"
    assert dated["serialNumber"] == json.loads(first)["serialNumber"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert command("sbom", "--env", target).code == 2


def test_of_a_lock(command: Command, lock: Path, here: Path) -> None:
    """No time in it; licences as far as the store has the wheels, packed or unpacked."""
    before = command("sbom", "--lock", lock, "--store", here / "store")
    assert before.code == 0, before.err
    document = read(before.out)
    assert "timestamp" not in document["metadata"]
    assert [each["name"] for each in document["components"]] == ["astor", "paddlepaddle"]
    assert "licenses" not in component(document, "astor")
    store = Store(here / "store")
    fill(store, cpu_set(here / "wheels"))
    (wheel,) = [wheel for package in pylock.packages(pylock.read(lock)) for wheel in package.wheels][:1]
    unpacked = here / "unpacked"
    (unpacked / "paddlepaddle-3.3.1.dist-info").mkdir(parents=True)
    (unpacked / "paddlepaddle-3.3.1.dist-info/METADATA").write_text("Name: paddlepaddle\nLicense: Apache-2.0\n")
    store.keep_unpacked(wheel, unpacked)
    after = read(command("sbom", "--lock", lock, "--store", here / "store").out)
    assert component(after, "paddlepaddle")["licenses"][0]["license"]["id"] == "Apache-2.0"
    assert after["serialNumber"] == document["serialNumber"]


def first_used(env: Path, name: str) -> dict[str, Any]:
    """``name`` in a receipt that knows a first use, which nobody told of."""
    path = env / receipt.FOLDER / "receipt.json"
    told = f"{name}-1-py3-none-any.whl: first use, from host on 2026-01-01"
    path.write_text(json.dumps({**json.loads(path.read_text()), "first_use": [told]}))
    return {"name": "paddle-bootstrap:digest", "value": "first use, from host on 2026-01-01"}


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_target_whose_copy_of_the_lock_is_damaged(command: Command, target: Path, damage: str) -> None:
    """It is told, and what the receipt says of first uses still stands in the document."""
    row = first_used(target, "apache")
    assert row not in component(read(command("sbom", "--env", target).out), "apache")["properties"]
    (copy,) = (target / receipt.FOLDER).glob("pylock.*.toml")
    copy.write_text("[[packages") if damage == "cut" else copy.unlink()
    said = command("sbom", "--env", target)
    assert said.code == 0
    assert f"warning: {copy}" in said.err
    assert "only first uses are told" in said.err
    document = read(said.out)
    assert row in component(document, "apache")["properties"]
    assert "digest" not in dict(properties(component(document, "text")))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {  # of the same length: one of another is none of the store's wheels
    "no archive": lambda content: bytes(len(content)),
    "no METADATA": lambda content: content.replace(b"/METADATA", b"/METADATB"),
    "other bytes": lambda content: re.sub(rb"(?<=info/METADATA)(?!PK)[^P].{9}", b"\xff" * 10, content, flags=re.DOTALL),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_wheel_in_the_store_that_cannot_be_read(command: Command, lock: Path, here: Path, damage: str) -> None:
    store, wheels = Store(here / "store"), cpu_set(here / "wheels")
    fill(store, wheels)
    astor = next(store.path(each.sha256, each.path.name) for each in wheels if "astor" in each.path.name)
    astor.write_bytes(DAMAGES[damage](astor.read_bytes()))
    said = command("sbom", "--lock", lock, "--store", here / "store")
    assert said.code == 0
    assert f"warning: {astor}: its METADATA cannot be read" in said.err
    assert "licenses" not in component(read(said.out), "astor")


@pytest.mark.parametrize("name", ["gpu-2_6_2-cu118", "cpu-3_3_1"])
def test_of_the_shipped_locks(command: Command, name: str) -> None:
    """A package with a wheel for each Python holds them as its parts, each with its own digest."""
    document = read(command("sbom", "--lock", name).out)
    paddle = next(each for each in document["components"] if each["name"].startswith("paddlepaddle"))
    assert "hashes" not in paddle
    assert len(paddle["components"]) == 5
    assert all(len(part["hashes"]) == 1 for part in paddle["components"])
    lock = pylock.read(pylock.find(name))
    assert len(document["components"]) == len({(each.name, each.version) for each in pylock.packages(lock)})


def test_an_entry_that_is_there_twice(command: Command, here: Path) -> None:
    """Two markers, one version: one component, or its reference would not be unique."""
    entries = [
        f'[[packages]]\nname = "x"\nversion = "1"\nmarker = "python_version {sign} \'3.12\'"\n'
        f'wheels = [{{ name = "{file}", path = "{file}", hashes = {{ sha256 = "{digest(file)}" }} }}]\n'
        for sign, file in (("<", "x-1-py2-none-any.whl"), (">=", "x-1-py3-none-any.whl"))
    ]
    lock = here / "pylock.twice.toml"
    lock.write_text("\n".join(['lock-version = "1.0"\ncreated-by = "somebody"\n', *entries]))
    (x,) = read(command("sbom", "--lock", lock).out)["components"]
    assert [part["name"] for part in x["components"]] == ["x-1-py2-none-any.whl", "x-1-py3-none-any.whl"]


def test_what_is_no_target(command: Command, here: Path, target: Path, lock: Path) -> None:
    said = command("sbom", "--env", here / "nowhere")
    assert (said.code, said.out) == (14, "")
    assert "has no receipt" in said.err
    assert command("sbom", "--env", target, "--lock", lock).code == 2
    assert command("sbom", "--lock", "no-such-lock").code == 2


def test_a_lock_of_the_settings_does_not_hide_the_target(command: Command, target: Path, lock: Path) -> None:
    Path("paddle-bootstrap.toml").write_text(f'lock = "{lock}"\n')
    assert read(command("sbom", "--env", target).out)["metadata"]["component"]["name"] == "one"


def test_without_the_library(target: Path, here: Path) -> None:
    """It is an extra: what to install is said, and no other verb misses it."""
    (here / "without/cyclonedx").mkdir(parents=True)
    (here / "without/cyclonedx/__init__.py").write_text("raise ModuleNotFoundError('no cyclonedx', name='cyclonedx')\n")
    environ = {**os.environ, "PYTHONPATH": f"{here / 'without'}:{ROOT}"}
    command = [sys.executable, "-m", "paddle_bootstrap", "sbom", "--env", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 2
    assert "pip install 'cyclonedx-python-lib>=11'" in done.stderr
