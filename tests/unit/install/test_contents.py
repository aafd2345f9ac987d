"""What the list of a target's files says of the odd things that wheels hold."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.digest import sha256_of
from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.host.pythons import probe
from paddle_bootstrap.install import contents, wheels
from paddle_bootstrap.install.wheels import Place
from paddle_bootstrap.lock.model import Wheel

WHEEL = Wheel("odd", "1", "odd-1-py3-none-any.whl", 1, "a" * 64)
FILES = {
    "odd/plain.py": "A = 1\n",
    "odd/unstated.py": "B = 2\n",
    "odd/other.py": "C = 3\n",
    "odd/__pycache__/plain.cpython-38.pyc": "x",
    "odd/line\nbreak.txt": "D",
    "odd-1.data/data/share/odd.txt": "E",
    "odd-1.data/purelib/odd/pure.py": "F = 4\n",
    "odd-1.data/scripts/odd": "#!python\nprint()\n",
    "odd-1.data/scripts/shell": "#!/bin/sh\n",
    "odd-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: odd\nVersion: 1\n",
    "odd-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "odd-1.dist-info/INSTALLER": "somebody\n",
}


def stated(kind: str, text: str) -> str:
    digest = getattr(hashlib, kind)(text.encode()).digest()
    return f"{kind}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    rows = []
    for name, text in FILES.items():
        (tmp_path / "unpacked" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "unpacked" / name).write_text(text)
        digest = "" if "unstated" in name else stated("sha512" if "other" in name else "sha256", text)
        rows.append(f'"{name}",{digest},{len(text) if digest else ""}\n')
    rows.append(f"odd/not_there.py,{stated('sha256', '')},0\n")
    (tmp_path / "unpacked/odd-1.dist-info/RECORD").write_text("".join([*rows, "odd-1.dist-info/RECORD,,\n"]))
    return tmp_path / "unpacked"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    python: Interpreter = probe(Path(sys.executable))
    site_packages = tmp_path / "env/lib/python3/site-packages"
    site_packages.mkdir(parents=True)
    return Place(tmp_path / "env", site_packages, python)


def listed(text: bytes) -> dict[str, str]:
    rows = [line.partition("  ") for line in text.decode().splitlines() if not line.startswith("#")]
    return {path: digest for digest, _, path in rows}


def test_every_file_stands_where_it_was_put(unpacked: Path, place: Place) -> None:
    wheels.install(WHEEL, unpacked, place)
    found = listed(contents.listing(place, [(WHEEL, unpacked)], ()))
    here = "lib/python3/site-packages"
    assert {path: digest.lstrip("\\") for path, digest in found.items()} == {
        path.replace("\n", "\\n"): sha256_of(place.env / path)
        for path in (
            *(f"{here}/odd/{name}" for name in ("plain.py", "unstated.py", "other.py", "pure.py", "line\nbreak.txt")),
            *(f"{here}/odd-1.dist-info/{name}" for name in ("METADATA", "WHEEL", "INSTALLER", "RECORD")),
            "share/odd.txt",
            "bin/odd",
            "bin/shell",
        )
    }
    assert [path for path, digest in found.items() if digest.startswith("\\")] == [f"{here}/odd/line\\nbreak.txt"]


def test_what_was_changed_or_lost(unpacked: Path, place: Place) -> None:
    wheels.install(WHEEL, unpacked, place)
    assert contents.changed(place, WHEEL, unpacked) == []
    (place.site_packages / "odd/plain.py").unlink()
    (place.site_packages / "odd/plain.py").write_text("A = 2\n")
    (place.env / "share/odd.txt").unlink()
    assert sorted(contents.changed(place, WHEEL, unpacked)) == [
        "lib/python3/site-packages/odd/plain.py",
        "share/odd.txt",
    ]


def test_the_digests_are_the_wheels_not_the_targets(unpacked: Path, place: Place) -> None:
    """A target whose file and RECORD were both changed before the list is written: the list tells the truth."""
    wheels.install(WHEEL, unpacked, place)
    record = place.site_packages / "odd-1.dist-info/RECORD"
    record.write_text(record.read_text().replace(stated("sha256", "A = 1\n"), stated("sha256", "A = 2\n")))
    digest = listed(contents.listing(place, [(WHEEL, unpacked)], ()))["lib/python3/site-packages/odd/plain.py"]
    assert digest == hashlib.sha256(b"A = 1\n").hexdigest()
