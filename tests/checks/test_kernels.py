"""The kernels: assembled for every architecture by the real assembler, and run by the letter of PTX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checks import ptx
from tests.checks.workload import WORKLOADS, load
from tests.conftest import CACHE

KERNELS = WORKLOADS / "kernels.ptx"
TEXT = KERNELS.read_text()
ASSEMBLERS = [
    ("nvidia-cuda-nvcc-cu11==11.8.89", (60, 61, 70, 75, 80, 86, 89, 90)),
    ("nvidia-cuda-nvcc-cu12==12.9.86", (60, 61, 70, 75, 80, 86, 89, 90, 100, 120)),
    ("nvidia-cuda-nvcc==13.0.88", (75, 80, 86, 89, 90, 100, 103, 120)),
]
sys.path.append(str(WORKLOADS))
patterns, compute = load("patterns"), load("driver_compute")
KINDS = [(patterns.CONSTANT, 0xAAAAAAAA), (patterns.NUMBER, 0), (patterns.HASH, 7)]
FAR = 5 << 32  # a word's number beyond 32 bits


def gpu(size: int) -> ptx.Gpu:
    return ptx.Gpu(ptx.read(TEXT), bytearray(size))


def test_the_oldest_isa_that_knows_sm_60() -> None:
    """Drivers since CUDA 8 take it; a later one would shut out old drivers for nothing."""
    assert ".version 5.0\n.target sm_60\n" in TEXT


@pytest.mark.parametrize("pattern", KINDS)
def test_fill_writes_what_python_says_and_verify_agrees(pattern: tuple[int, int]) -> None:
    words = 44  # more than 2 blocks of 3 threads write at once, and no multiple of it
    card = gpu(words * 4 + 16 + 24)
    kind, seed = pattern
    card.launch("fill", 2, 3, ptx.BASE, words, FAR, kind, seed)
    assert list(ptx.words(card.memory, 0, words)) == [patterns.value(FAR + at, kind, seed) for at in range(words)]
    assert not any(card.memory[words * 4 :]), "it wrote beyond the end"
    assert verified(card, words, FAR, pattern) == patterns.CLEAN


@pytest.mark.parametrize("pattern", KINDS)
def test_verify_finds_the_first_wrong_word(pattern: tuple[int, int]) -> None:
    words, wrong = 44, (21, 38)
    card = gpu(words * 4 + 16 + 24)
    card.launch("fill", 2, 3, ptx.BASE, words, FAR, *pattern)
    for at, bit in zip(wrong, (0x10, 0x80000000), strict=True):
        card.store(ptx.BASE + 4 * at, 4, card.load(ptx.BASE + 4 * at, 4) ^ bit)
    meant = patterns.value(FAR + 21, *pattern)
    assert verified(card, words, FAR, pattern) == patterns.REPORT.pack(2, 21 << 32 | meant ^ 0x10, 0x80000010, 0)


def verified(card: ptx.Gpu, words: int, number: int, pattern: tuple[int, int]) -> bytes:
    at = words * 4 + 16
    card.memory[at : at + 24] = patterns.CLEAN
    card.launch("verify", 2, 3, ptx.BASE, words, number, *pattern, ptx.BASE + at)
    return bytes(card.memory[at : at + 24])


@pytest.mark.parametrize("kernel", ["integers", "floats"])
def test_kernels_compute_what_the_cpu_does(kernel: str) -> None:
    blocks, threads, rounds, seed = 4, 3, 60, 12345
    card = gpu(4 * blocks * threads + 4 * blocks)
    units = ptx.BASE + 4 * blocks * threads
    card.launch(kernel, blocks, threads, ptx.BASE, units, rounds, seed)
    found = list(ptx.words(card.memory, 0, blocks * threads))
    assert found == [getattr(compute, kernel)(thread, rounds, seed) for thread in range(blocks * threads)]
    assert len(set(found)) == blocks * threads
    assert list(ptx.words(card.memory, 4 * blocks * threads, blocks)) == [0, 1, 2, 0]


def test_a_flipped_bit_changes_all_that_follows() -> None:
    """Each chain must carry an error to its end, else a product that went wrong early would look right."""
    for kernel in ("integers", "floats"):
        chain = getattr(compute, kernel)
        assert chain(1, 200, 12345) != chain(1, 200, 12344)


def test_rounding_is_to_nearest_and_even() -> None:
    assert compute.rounded((1 << 24) + 1, 0) == (1 << 23, -1)
    assert compute.rounded((1 << 24) + 3, 0) == ((1 << 23) + 2, -1)
    assert compute.rounded((1 << 25) + 6, 0) == ((1 << 23) + 2, -2)
    assert compute.rounded((1 << 24) - 1, 5) == ((1 << 24) - 1, 5)


@pytest.mark.registry
@pytest.mark.parametrize(
    ("wheel", "known"), [ASSEMBLERS[0], *(pytest.param(*row, marks=pytest.mark.wheels) for row in ASSEMBLERS[1:])]
)
def test_the_real_assembler_takes_it(wheel: str, known: tuple[int, ...], tmp_path: Path) -> None:
    """No warning, no register spilled to memory: what the driver's own compiler would make of it, which is the same."""
    for architecture in known:
        command = [str(assembler(wheel)), "-v", f"-arch=sm_{architecture}", "-o", str(tmp_path / "out"), str(KERNELS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr
        assert done.stderr.count("0 bytes spill stores, 0 bytes spill loads") == done.stderr.count("bytes stack frame")


def assembler(wheel: str) -> Path:
    """ptxas out of NVIDIA's wheel (20 to 41 MB), kept between runs."""
    folder = CACHE / "ptxas" / wheel.replace("==", "-")
    if not folder.exists():
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            f"{folder}.new",
            wheel,
        ]
        subprocess.run(command, check=True, timeout=300)
        Path(f"{folder}.new").rename(folder)
    found = next(folder.rglob("bin/ptxas"))
    found.chmod(0o755)
    return found
