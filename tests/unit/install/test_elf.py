"""The SONAME is read from the file, and nothing else is taken for one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from paddle_bootstrap.install.elf import soname
from tests.fakes.wheels import library


def test_a_minimal_library(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(library("libcudnn.so.8"))
    assert soname(tmp_path / "x.so") == "libcudnn.so.8"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize(("flags", "expected"), [(["-Wl,-soname,libthing.so.3"], "libthing.so.3"), ([], None)])
def test_a_linked_library(tmp_path: Path, flags: list[str], expected: str | None) -> None:
    (tmp_path / "x.c").write_text("int answer(void) { return 42; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", *flags, "-o", tmp_path / "x.so", tmp_path / "x.c"], check=True)
    assert soname(tmp_path / "x.so") == expected


@pytest.mark.parametrize(
    "content",
    [b"", b"GROUP ( libm.so.6 )", b"\x7fELF\x01\x01" + bytes(200), library("a.so.1")[:150], b"\x7fELF\x02\x01"],
)
def test_what_is_no_library(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.so").write_bytes(content)
    assert soname(tmp_path / "x.so") is None
    assert soname(tmp_path / "absent.so") is None


def test_an_address_outside_of_every_segment(tmp_path: Path) -> None:
    broken = bytearray(library("libx.so.1"))
    broken[64 + 32 : 64 + 40] = (8).to_bytes(8, "little")  # PT_LOAD covers eight bytes
    (tmp_path / "x.so").write_bytes(broken)
    assert soname(tmp_path / "x.so") is None
