"""The free memory of fake cards, word by word, with weak cells, with neighbours, and with what hangs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from paddle_bootstrap.results.model import CheckResult
from tests.checks.driver import cards, loads
from tests.checks.judging import fails, passes, warns
from tests.checks.workload import load
from tests.fakes.host import FakeHost

ONE, TWO = cards(1), cards(2)
MEMORY = {"FAKE_CUDA_MEMORY": str(8 << 20)}
FAR = 9 << 20  # of 11 MiB: within 95 %, not within 90 %


def cell(offset: int) -> int:
    """Where in the card's memory it is: what the kernel reports lies before the words that are tested."""
    words, patterns = load("driver_words"), load("patterns")
    return offset + int(words.MOST * patterns.REPORT.size)


def judged(host: FakeHost, folder: Path, *faults: str, deep: bool = False) -> Mapping[str, CheckResult]:
    results = loads(
        host, folder, "words.", *faults, level="deep" if deep else "standard", FAKE_CUDA_MEMORY=str(8 << 20)
    )
    return {name: result for name, result in results.items() if ("patterns" in name) == deep}


def only(results: Mapping[str, CheckResult], *bad: str) -> None:
    for name, result in results.items():
        if name not in bad:
            passes(result)


@pytest.mark.parametrize("deep", [False, True])
def test_healthy_cards(deep: bool, tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, deep=deep)
    only(results)
    assert len(results) == 2


def test_a_weak_word(tmp_path: Path) -> None:
    """The card, the pattern, the address, what was meant and what was found."""
    at = 6 << 20
    results = judged(TWO, tmp_path, f"dev1.wrong_word = {cell(at)}:0x10")
    meant = load("patterns").value(at // 4, 2, 20260101)
    fails(
        results["words.pattern[gpu1]"],
        f"gpu1 ({TWO.address(1)}, {TWO.uuid(1)}) lost 1 words of the random pattern, the first at 6.00 MiB",
        f"byte 0x{at:x} of 7.00 MiB: 0x{meant ^ 0x10:08x}; wrong bits 0x00000010",
        f"0x{meant:08x}, as it was written",
        "ROW_REMAPPER -i 1",
    )
    only(results, "words.pattern[gpu1]")


def test_the_first_of_many(tmp_path: Path) -> None:
    weak = [f"dev0.wrong_word = {cell(at << 20)}:{1 << at}" for at in (5, 2, 3)]
    results = judged(ONE, tmp_path, *weak)
    fails(results["words.pattern[gpu0]"], "lost 3 words", "the first at 2.00 MiB", "wrong bits 0x0000002c")


def test_a_bit_that_sticks_shows_in_some_patterns_alone(tmp_path: Path) -> None:
    """Bit 0 is always 1: zeros and 0xAAAAAAAA show it, ones and 0x55555555 do not; word 2^20 has an even number."""
    results = judged(ONE, tmp_path, f"dev0.stuck_bits = {cell(4 << 20)}:0x1", deep=True)
    fails(results["words.patterns[gpu0]"], "the 0x00000000 pattern", "0x00000001; wrong bits 0x00000001")
    said = results["words.patterns[gpu0]"].measured or ""
    assert "of 6 patterns wrong: 0x00000000, 0xAAAAAAAA, address" in said


def test_a_word_near_the_end_is_for_the_deep_level(tmp_path: Path) -> None:
    """95 % of the memory instead of 90 %."""
    results = judged(ONE, tmp_path, f"dev0.wrong_word = {cell(FAR)}", f"dev0.memory = {11 << 20}", deep=True)
    fails(results["words.patterns[gpu0]"], "the first at 9.00 MiB")
    again = tmp_path / "again"
    again.mkdir()
    only(judged(ONE, again, f"dev0.wrong_word = {cell(FAR)}", f"dev0.memory = {11 << 20}"))


def test_a_neighbour_holds_memory(tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, f"dev0.taken = {4 << 20}")
    warns(results["words.pattern[gpu0]"], "only 3.00 MiB of the 8.00 MiB of gpu0 were tested", "mode.neighbours")
    only(results, "words.pattern[gpu0]")


@pytest.mark.parametrize(("fault", "had"), [(f"hidden = {3 << 20}", "4.00 MiB"), (f"largest = {1 << 19}", "0.00 MiB")])
def test_memory_that_is_free_and_cannot_be_had(fault: str, had: str, tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, f"dev1.{fault}")
    said = f"{had} of 7.00 MiB could be had; 8.00 MiB of 8.00 MiB are free"
    fails(results["words.pattern[gpu1]"], "gpu1", "does not give the memory that it says is free", said, "PIDS -i 1")
    only(results, "words.pattern[gpu1]")


def test_a_full_card(tmp_path: Path) -> None:
    results = judged(TWO, tmp_path, "dev1.fail = cuMemAlloc_v2:2")
    fails(results["words.pattern[gpu1]"], "gpu1", "CUDA error 2: the GPU's memory is full", "nvidia-smi")
    only(results, "words.pattern[gpu1]")


def test_an_allocation_in_pieces(tmp_path: Path) -> None:
    """A driver that gives no piece of 7 MiB gives smaller ones."""
    results = judged(ONE, tmp_path, f"dev0.largest = {3 << 20}")
    only(results)


def test_a_kernel_that_hangs(tmp_path: Path) -> None:
    """The deadline ends it, the other card is judged."""
    limits = {"deadline = 60": "deadline = 2"}
    results = loads(TWO, tmp_path, "words.pattern", "dev1.hang = cuLaunchKernel", limits=limits, **MEMORY)
    result = results["scripted.pattern[gpu1]"]
    assert (result.outcome, result.cause, result.device) == ("failed", "timeout", "gpu1")
    assert result.summary == "driver_words.words did not answer in 2 s"
    assert "still in libcuda.py" in (result.measured or "")
    only(results, "scripted.pattern[gpu1]")


def test_memory_is_given_back(tmp_path: Path) -> None:
    """The stub keeps what is not freed: a second load would not find it."""
    only(loads(ONE, tmp_path, "words. or copy.host", level="deep", **MEMORY))
