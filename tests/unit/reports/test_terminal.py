"""What a person reads: 80 columns whatever comes, no command broken, nothing that moves the cursor."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_bootstrap.reports import terminal
from paddle_bootstrap.reports.columns import cells, fold, pad, printable, wrap
from paddle_bootstrap.reports.gathering import ranges
from paddle_bootstrap.reports.measured import number
from paddle_bootstrap.results.model import CheckResult, Measurement
from tests.unit.results.runs import CRASHED, NO_CODE, RUNS, check, per_gpu, run, skipped

PARTS = [
    "a",
    "word ",
    "/",
    "-",
    " ",
    "中",
    "é",
    "e\u0301",
    "x" * 90,
    "/very/long" * 12,
    "漢字、" * 30,
    "\x1b[31m",
    "\n",
    "\t",
]
TEXT = st.lists(st.sampled_from([*PARTS, "📦", "\udcff", "\u202e"]), max_size=8).map("".join)
NUMBERS = st.one_of(st.none(), st.floats())
CHECKS = st.builds(
    CheckResult,
    id=st.tuples(TEXT, TEXT).map(lambda parts: f"{parts[0]}.{parts[1]}[gpu1]"),
    title=TEXT,
    level=st.just("quick"),
    outcome=st.sampled_from(["passed", "warned", "failed", "error", "skipped"]),
    cause=st.sampled_from([None, "requirement"]),
    device=st.one_of(st.none(), st.sampled_from(["gpu1", "gpu12", "cpu"]), TEXT),
    summary=TEXT,
    measured=TEXT,
    expected=TEXT,
    likely=TEXT,
    fix=st.just("make short"),
    seconds=st.floats(0, 1e5),
    evidence=st.dictionaries(TEXT, TEXT, max_size=2),
    accepted=st.one_of(st.none(), st.fixed_dictionaries({"reason": TEXT, "expires": TEXT})),
    measurements=st.lists(
        st.builds(Measurement, TEXT, st.floats(), TEXT, NUMBERS, TEXT, NUMBERS, TEXT), max_size=3
    ).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CHECKS, max_size=5), TEXT, st.sampled_from(["utf-8", "ascii", "gbk"]), st.booleans())
def test_no_line_is_wider_than_the_page(checks: list[CheckResult], text: str, encoding: str, verbose: bool) -> None:
    host = {"hostname": text, "os": text, "gpus": [{"name": text}]}
    results = run(*checks, check("a.failed", outcome="failed"), host=host, target={"env": text}, lock={"name": text})
    said = terminal.render(results, encoding=encoding, verbose=verbose)
    assert [line for line in said.splitlines() if cells(line) > 80] == []
    said.encode(encoding)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", said)


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_every_run_fits_80_columns(name: str, verbose: bool) -> None:
    """All but a command that cannot be broken."""
    said = terminal.render(RUNS[name], verbose=verbose)
    wide = [line.strip(" │") for line in said.splitlines() if cells(line) > 80]
    command = "/mnt/" + "a-folder-with-hyphens-that-may-not-be-broken/" * 2
    assert wide == ([command] * 2 if name == "awkward" else [])


def test_a_command_is_never_broken_inside_a_word() -> None:
    command = (
        "docker run --shm-size=8g --rm registry.example.com/" + "long-name/" * 10 + "image:1.0 --flag-with-hyphens"
    )
    said = terminal.render(run(check("a.b", outcome="failed", summary="no", fix=f"as root: {command}")))
    explained = said.split("next      ")[1].split("\n\n")[0]
    assert [
        word for line in explained.splitlines() for word in line.strip(" │").split()
    ] == f"as root: {command}".split()


def test_colour_changes_nothing_but_colour() -> None:
    for results in RUNS.values():
        painted = terminal.render(results, color=True)
        assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == terminal.render(results)
        assert painted != terminal.render(results)


def test_eight_gpus_that_are_well_take_one_line() -> None:
    said = terminal.render(run(*per_gpu(8)))
    assert said.count("cnn[") == 1
    assert re.search(r"✓ cnn\[gpu0-7\]  A convolutional network trains.* 3\.2 s\n", said)
    assert terminal.render(run(*per_gpu(8)), verbose=True).count("matmul_fp16 281.25 TFLOP/s (floor 250, ") == 8


def test_the_gpu_that_is_broken_stands_out() -> None:
    checks = list(per_gpu(8))
    checks[5] = replace(CRASHED, id="device.cnn[gpu5]", device="gpu5")
    said = terminal.render(run(*checks))
    assert re.findall(r"(.) (cnn\[.*?\])", said) == [("✗", "cnn[gpu5]"), ("✓", "cnn[gpu0-4,6-7]")]


def test_gpus_that_are_well_are_joined_across_one_that_got_no_load() -> None:
    checks = [replace(one, id=one.id.replace("cnn", name)) for name in ("cnn", "rnn") for one in per_gpu(8)]
    for index in (3, 11):
        checks[index] = replace(checks[index], outcome="skipped", summary="gpu3 gets no load")
    said = terminal.render(run(*checks))
    assert re.findall(r"  (.) ([a-z]+\[.*?\]|\d checks) ", said) == [
        ("✓", "cnn[gpu0-2,4-7]"),
        ("·", "2 checks"),
        ("✓", "rnn[gpu0-2,4-7]"),
    ]


def test_a_unit_that_does_not_fit_beside_its_name_stays_whole() -> None:
    rate = Measurement("gloo_all_reduce_16MiB", 0.66, "GB/s")
    assert "  gloo_all_reduce_16MiB\n  (GB/s)  " in terminal.render(run(check("a.b", measurements=(rate,))))


def test_what_failed_stands_first_and_a_table_tells_every_number() -> None:
    said = terminal.render(RUNS["slow"])
    assert said.index("fp16[gpu5]") < said.index("fp16[gpu0-4,6-7]") < said.index("\ncopy\n")
    rows = said[said.index("measurements") :]
    assert rows.split()[1:7] == ["floor", "peers", "gpu0", "gpu1", "gpu2", "gpu3"]
    assert "612.4✗" in rows
    assert rows.index("matmul_fp16 (TFLOP/s)") < rows.index("copy_device (GB/s)") < rows.index("allreduce (GB/s)")
    assert re.search(r"matmul_fp32 \(TFLOP/s\) +- +51\.95 +51\.90! ", rows)
    assert "612.4XX" in terminal.render(RUNS["slow"], encoding="ascii")
    assert "1410 MHz, 87 C, 520 W" in terminal.render(RUNS["slow"], verbose=True)


def test_an_accepted_deviation_is_a_pass_that_nobody_overlooks() -> None:
    said = terminal.render(RUNS["allowed"])
    assert said.startswith("ACCEPTED\n")
    assert "✓ size[gpu0]   accepted: 48 GB on a 24 GB model" in said
    told = said[said.index("accepted deviations") :].split("\n")
    assert told[1:4] == [
        "  ✗ memory.size[gpu0]",
        "      48 GB on a 24 GB model",
        "      accepted until 2027-01-01: modified cards, known",
    ]
    assert "3 passed (1 accepted) in" in said
    assert "accepted deviations" not in terminal.render(RUNS["warned"])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (0.00001, "1.0e-05"),
        (0.5, "0.5000"),
        (3.25, "3.250"),
        (99.999, "100.00"),
        (612.44, "612.4"),
        (2540.3, "2540"),
        (123456.7, "123457"),
        (1e9, "1.0e+09"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_take_eight_columns(value: float, told: str) -> None:
    assert number(value) == told
    assert len(told) <= 8


def test_what_every_gpu_says_is_said_once() -> None:
    said = terminal.render(RUNS["rejected"])
    assert said.count("signal 11 after 2.1 s") == said.count("signal 11 after 2.2 s") == 1
    assert said.count("a driver that is too old, or a GPU that is broken") == 1
    assert said.count(" load[gpu0-1]") == 1


def test_skips_are_counted_and_named_when_asked() -> None:
    said = terminal.render(RUNS["rehearsal"])
    assert said.startswith("REHEARSAL on the CPU, no GPU was judged: ACCEPTED\n")
    assert "· 2 checks" in said
    assert "driver_matches" not in said
    assert "· driver_matches" in terminal.render(RUNS["rehearsal"], verbose=True)


def test_a_missing_requirement_is_explained_once() -> None:
    said = terminal.render(RUNS["preflight"])
    assert said.count("the NVIDIA kernel module is not loaded") == 1
    assert "✗ gpus_visible   no usable GPU: see device.cnn[gpu]\n" in said


def test_a_broken_check_shows_its_traceback_and_a_failed_one_where_to_look() -> None:
    assert "check_scratch.py:7: in check_scratch" in terminal.render(RUNS["inconclusive"])
    said = terminal.render(RUNS["rejected"])
    assert "Segmentation fault" not in said
    assert said.endswith("report -v FILE\n")
    assert "Fatal Python error: Segmentation fault" in terminal.render(RUNS["rejected"], verbose=True)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rehearsal", "next: the same on a GPU host: paddle-bootstrap up"),
        ("warned", "to use it: source /srv/paddle/bin/activate"),
        (
            "rejected",
            "failed: architecture.build, device.cnn[gpu0-1], libraries.load[gpu0-1] "
            f"next, for architecture.build: {NO_CODE.fix}",
        ),
        ("inconclusive", "inconclusive: required, but without an answer: host.cpu, site.scratch"),
        ("nothing", "inconclusive: no check ran: nothing was proved; leave out -k, or give one that matches"),
    ],
)
def test_the_end_says_exit_code_and_what_to_do(name: str, says: str) -> None:
    words = " ".join(terminal.render(RUNS[name]).split())
    assert f"; level quick; exit code {RUNS[name].exit_code} {says}" in words


def test_one_failure_is_not_listed_once_more() -> None:
    broken = check("memory.rows[gpu3]", device="gpu3", outcome="failed", summary="no row is left", fix="replace it")
    assert "failed: " not in terminal.render(run(broken))


def test_what_two_mirrors_brought_is_one_wheel() -> None:
    assert "fetched 1 wheel, 759 MB from official, tuna " in " ".join(terminal.render(RUNS["warned"]).split())


def test_who_sent_wrong_bytes_is_named() -> None:
    run = RUNS["warned"]
    liar = {**run.transfers[0], "outcome": "wrong", "error": "it delivers wrong bytes", "wrong_pieces": 3}
    told = " ".join(terminal.render(replace(run, transfers=(liar, run.transfers[1]))).split())
    assert "from tuna; WRONG BYTES from official, which were not used" in told


@pytest.mark.parametrize(
    ("text", "room", "lines"),
    [
        ("", 10, [""]),
        ("one two three", 7, ["one two", "three"]),
        ("a --long-flag b", 11, ["a", "--long-flag", "b"]),
        ("数据盘空间不足", 6, ["数据盘", "空间不", "足"]),
        ("see 数据盘", 6, ["see 数", "据盘"]),
        ("/aaaa/bbbb/cccc", 8, ["/aaaa/", "bbbb/", "cccc"]),
        ("x" * 9, 4, ["xxxx", "xxxx", "x"]),
        ("e\u0301" * 3, 3, ["e\u0301" * 3]),
    ],
)
def test_wrapping(text: str, room: int, lines: list[str]) -> None:
    assert wrap(text, room) == lines


def test_wrapping_leaves_a_command_whole() -> None:
    assert wrap("run /a/b/c/d/e/f now", 6, whole_words=True) == ["run", "/a/b/c/d/e/f", "now"]


def test_columns() -> None:
    assert (cells("abc"), cells("数据"), cells("e\u0301")) == (3, 4, 1)
    assert pad("数", 4) == "数  "
    assert printable("a\x1b[2J\tb\n\udcff") == "a?[2J b ?"
    assert list(fold("", 5)) == [""]
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


def test_a_long_list_of_what_is_open_is_cut_and_gpus_are_joined() -> None:
    """A driver that is stuck leaves a hundred checks without an answer."""
    open_ = [
        replace(check(f"memory.check{number}[gpu{gpu}]", outcome="skipped"), device=f"gpu{gpu}")
        for number in range(10)
        for gpu in range(8)
    ]
    last = terminal.render(run(*open_)).splitlines()[-4:]
    said = " ".join(line.strip() for line in last)
    assert "required, but without an answer: memory.check0[gpu0-7], memory.check1[gpu0-7]," in said
    assert said.endswith("memory.check7[gpu0-7] and 2 more")


def test_a_run_that_left_something_out_says_so_above_the_checks() -> None:
    partly = replace(RUNS["warned"], asked={"-k": "host or cnn", "--gpus": "0,1"})
    assert "  partly  -k host or cnn, --gpus 0,1" in terminal.render(partly).splitlines()


def test_groups_that_were_left_out_for_one_reason_are_one_section() -> None:
    """A rehearsal leaves out every GPU's check: ten groups would hide the one that was judged."""
    checks = [skipped("kernel.noise"), skipped("memory.rows"), check("host.disk"), skipped("memory.size")]
    told = terminal.render(run(*checks)).splitlines()
    assert told.index("host") < told.index("kernel, memory")
    assert told[told.index("kernel, memory") + 1] == "  · 3 checks  rehearsal on the CPU"
    verbose = terminal.render(run(*checks), verbose=True).splitlines()
    assert {"kernel", "memory"} <= set(verbose)
