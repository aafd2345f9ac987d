"""Reading machine code out of ELF files, whole ones and damaged ones."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks.device_code import PTX, SASS, elf, fat_binary, image, kernels, library
from tests.checks.workload import load

fatbin = load("fatbin")
NOTHING = {"sass": {}, "ptx": {}}


def read(folder: Path, content: bytes) -> object:
    (folder / "lib.so").write_bytes(content)
    return fatbin.read(str(folder / "lib.so"))


def counted(section: bytes) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {"sass": {}, "ptx": {}}
    fatbin.count(section, 0, len(section), found)
    return found


def test_every_image_of_every_fat_binary_is_counted(tmp_path: Path) -> None:
    first = fat_binary([image(SASS, 70), image(SASS, 80, payload=1000), image(PTX, 80)])
    second = fat_binary([image(SASS, 80)])
    found = read(tmp_path, library(b"\0" * 24 + first + b"\0" * 8 + second + b"\0" * 5))
    assert found == {"sass": {"70": 1, "80": 2}, "ptx": {"80": 1}}


def test_a_file_with_very_many_sections(tmp_path: Path) -> None:
    assert read(tmp_path, library(fat_binary([image(SASS, 90)]), extended=True)) == {"sass": {"90": 1}, "ptx": {}}


def test_a_section_that_takes_no_room_in_the_file(tmp_path: Path) -> None:
    """As in a file of debug symbols: its offset leads to other bytes."""
    content = bytearray(library(fat_binary([image(SASS, 90)])))
    table = struct.unpack_from("<Q", content, 0x28)[0]
    struct.pack_into("<I", content, table + 2 * 64 + 4, fatbin.NOBITS)
    assert read(tmp_path, bytes(content)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fELF\x02\x01",
        b"INPUT(libreal.so)".ljust(80),
        library(None),
        elf({".nv_fatbi": b"x", ".nv_fatbinx": b"x"}),
    ],
    ids=["empty", "short", "a linker script", "no device code", "other sections"],
)
def test_what_holds_no_device_code(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) is None


@pytest.mark.parametrize(
    "section", [b"", b"\0" * 5000, b"\xff" * 5000, fat_binary([])], ids=["empty", "zeros", "ones", "no image"]
)
def test_a_section_without_images(tmp_path: Path, section: bytes) -> None:
    """Not None: the section is there, so this is a GPU build that can run nothing."""
    assert read(tmp_path, library(section)) == NOTHING


def test_a_library_that_was_cut_short(tmp_path: Path) -> None:
    whole = kernels([70, 80])
    for size in (64, len(whole) // 2, len(whole) - 64):
        with pytest.raises(ValueError, match="not a whole ELF file"):
            read(tmp_path, whole[:size])


def test_an_image_that_reaches_beyond_its_binary() -> None:
    inside, beyond = image(SASS, 70), image(SASS, 80)
    beyond = beyond[:8] + struct.pack("<Q", 2**63) + beyond[16:]
    assert counted(fat_binary([inside, beyond, inside])) == {"sass": {"70": 1, "80": 1}, "ptx": {}}
    assert counted(fat_binary([inside])[:60]) == {"sass": {"70": 1}, "ptx": {}}
    assert counted(fat_binary([inside])[:40]) == NOTHING


def test_an_image_without_a_header_ends_its_binary_alone() -> None:
    broken = struct.pack("<HHIQ", SASS, 0x101, 0, 0).ljust(64, b"\0")
    assert counted(fat_binary([broken]) + fat_binary([image(SASS, 80)])) == {"sass": {"80": 1}, "ptx": {}}


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=400), st.integers(0, 20), st.binary(min_size=1, max_size=8))
def test_garbage_ends_and_raises_nothing(garbage: bytes, at: int, patch: bytes) -> None:
    good = bytearray(fat_binary([image(SASS, 70), image(PTX, 80)]))
    good[at : at + len(patch)] = patch
    counted(garbage + bytes(good) + garbage)


@settings(max_examples=100, deadline=2000)
@given(st.integers(16, 63), st.binary(min_size=1, max_size=8))
def test_a_garbled_elf_header_never_hangs(tmp_path_factory: pytest.TempPathFactory, at: int, patch: bytes) -> None:
    content = bytearray(kernels([70, 80], each=2))
    content[at : at + len(patch)] = patch
    with contextlib.suppress(ValueError):
        read(tmp_path_factory.getbasetemp(), bytes(content))
