"""The head of a wheel is read by ranges: a few of them, and nothing that a stranger says is believed unread."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from email.parser import HeaderParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_bootstrap.lock.remote_wheel import NotThisWheel, head
from tests.unit.lock.gpu_wheel import gpu_name, gpu_wheel

NAME = gpu_name(python="3.12")
BIG = gpu_wheel(filling=hashlib.shake_256(b"big").digest(8 << 20))


class Ranges:
    """A host that remembers what it was asked."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def read(self, start: int, end: int) -> bytes:
        assert 0 <= start < end <= len(self.data)
        self.asked.append((start, end))
        return self.data[start:end]


def required(metadata: str) -> list[str]:
    return HeaderParser().parsestr(metadata).get_all("Requires-Dist", [])


def test_a_few_ranges_are_enough() -> None:
    host = Ranges(BIG)
    found = head(NAME, len(BIG), host.read)
    assert required(found.metadata) == ['nvidia-nvtx-cu12==12.6.77; platform_system == "Linux"', "numpy>=1.21"]
    assert found.metadata.startswith("Metadata-Version: 2.1\nName: paddlepaddle-gpu\n")
    assert len(host.asked) <= 4
    assert sum(end - start for start, end in host.asked) < 300_000


def test_metadata_may_stand_anywhere() -> None:
    """Before what fills the file, and its directory longer than what is read of the end at once."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            "paddlepaddle_gpu-3.3.1.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: paddlepaddle_gpu\nVersion: 3.3.1\n",
        )
        for number in range(6000):
            archive.writestr(f"paddle/include/a/long/name/of/a/header/{number:08}.h", "x")
    data = buffer.getvalue()
    assert required(head(NAME, len(data), Ranges(data).read).metadata) == []


def test_the_directory_tells_files_apart() -> None:
    one, other = gpu_wheel(filling=b"1" * 1000), gpu_wheel(filling=b"2" * 1000)
    digests = {head(NAME, len(data), Ranges(data).read).directory for data in (one, other, one)}
    assert len(digests) == 2


WRONG = {
    "nothing": (b"", "it is no wheel: 0 bytes"),
    "a page": (b"<html>", "that do not begin as a zip file"),
    "cut": (BIG[: 1 << 20], "it is no wheel"),
    "another version": (gpu_wheel(says="3.3.0"), "its METADATA says paddlepaddle-gpu 3.3.0"),
    "no version": (gpu_wheel(says="one"), "its METADATA says paddlepaddle-gpu one"),
    "another package": (gpu_wheel(package="paddlepaddle"), "its METADATA says paddlepaddle 3.3.1"),
    "no requirement": (gpu_wheel(requires=["numpy >> 1"]), "its METADATA cannot be read"),
    "endless METADATA": (gpu_wheel(requires=["numpy"] * 500_000), "its METADATA has 105000"),
    "no METADATA": (gpu_wheel().replace(b"dist-info/METADATA", b"dist-info/METADATB"), "it holds 0 METADATA files"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_this_wheel_is_said(case: str) -> None:
    data, told = WRONG[case]
    with pytest.raises(NotThisWheel) as caught:
        head(NAME, len(data), Ranges(data).read)
    assert told in str(caught.value)


SMALL = gpu_wheel()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255), st.integers(0, len(SMALL)))
def test_damage_never_crashes(offset: int, flip: int, length: int) -> None:
    data = bytearray(SMALL)
    data[offset] ^= flip
    for damaged in (bytes(data), SMALL[:length]):
        with contextlib.suppress(NotThisWheel):
            head(NAME, len(damaged), Ranges(damaged).read)
