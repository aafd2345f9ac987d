"""Loads on several GPUs: who works with whom, who waits, who gets none, and what there is no time for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import Late, Unknown
from paddle_bootstrap.results.model import judge
from tests.fakes import facts
from tests.unit.harness.folders import Folder, Run

SHARE = """
import os, time
def double(device, place=None, slow=None):
    if place:
        open(os.path.join(place, "%d-%f" % (device, time.time())), "w").close()
    return {"rate": 50.0 if device == slow else 100.0 + device}
"""
STANDARD = '@pytest.mark.level("standard")\n    '


def test_a_check_sees_what_the_others_gave(site: Folder, run: Run) -> None:
    site.workload("share", SHARE)
    site.checks("""
    def check_it(device, run):
        got = run("share.double", device=device.index)
        told = {"gpu0": 100.0, "gpu1": 101.0, "gpu2": 102.0}
        assert got["rate"] == told.pop(device.label)
        assert {label: value["rate"] for label, value in run.others().items()} == told
    """)
    assert {result.outcome for result in run(gpus=3).values()} == {"passed"}


def test_the_others_are_those_of_the_same_model_that_did_not_fail(site: Folder, run: Run) -> None:
    host = facts.host(4)
    assert isinstance(host.gpus, tuple)
    gpus = (*host.gpus[:2], replace(host.gpus[2], name="NVIDIA H20"), host.gpus[3])
    site.workload("share", "def double(device):\n    assert device != 1, 'broken'\n    return device\n")
    site.checks("""
    def check_it(device, run):
        run("share.double", device=device.index)
        assert run.others() == {"gpu0": {"gpu3": 3}, "gpu2": {}, "gpu3": {"gpu0": 0}}[device.label]
    """)
    results = run(gpus=4, host=replace(host, gpus=gpus))
    assert [result.outcome for result in results.values()] == ["passed", "failed", "passed", "passed"]


def test_alone_means_that_no_other_works(site: Folder, run: Run, tmp_path: Path) -> None:
    site.workload(
        "meet",
        """
        import os, time
        def work(device, place):
            mine = os.path.join(place, str(device))
            open(mine, "w").close()
            time.sleep(0.2)
            found = sorted(os.listdir(place))
            os.unlink(mine)
            return found
        """,
    )
    (tmp_path / "place").mkdir()
    site.checks(f"""
    def check_it(device, run):
        run("meet.work", device=device.index, place={str(tmp_path / "place")!r})
        assert run("meet.work", device=device.index, alone=True, place={str(tmp_path / "place")!r}) == [str(device.ordinal)]
    """)
    assert {result.outcome for result in run(gpus=3).values()} == {"passed"}


FAILS_ON_1 = f"""
    def check_health(device):
        assert device.index != 1, "a bad row"
    {STANDARD}def check_load(device, run):
        run("share.double", device=device.index, place=PLACE)
"""


def loaded(place: Path) -> list[str]:
    return sorted(entry.name.partition("-")[0] for entry in place.iterdir())


def test_a_gpu_that_failed_gets_no_load_and_the_others_go_on(site: Folder, run: Run, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    site.workload("share", SHARE)
    site.checks(FAILS_ON_1.replace("PLACE", repr(str(place))))
    results = run(gpus=3, level="standard")
    held = results["site.load[gpu1]"]
    assert (held.outcome, held.required) == ("skipped", True)
    assert held.summary == "gpu1 gets no load: site.health[gpu1] failed, and evidence is kept; to load it: --force-load"
    assert results["site.load[gpu0]"].outcome == results["site.load[gpu2]"].outcome == "passed"
    assert loaded(place) == ["0", "2"]


def test_a_check_of_the_host_names_the_cards_that_get_no_load(site: Folder, run: Run) -> None:
    site.checks(f"""
    def check_log():
        expect(False, "Xid 79 on gpu1", measured="a line", expected="none", fix="reboot", cards=["gpu1"])
    {STANDARD}def check_load(device, cuda):
        pass
    {STANDARD}def check_counters(device):
        pass
    """)
    results = run(gpus=2, level="standard")
    assert results["site.load[gpu0]"].outcome == results["site.counters[gpu1]"].outcome == "passed"
    assert results["site.load[gpu1]"].summary.startswith("gpu1 gets no load: site.log failed")


def test_a_rehearsal_has_time_for_what_it_runs(site: Folder, run: Run) -> None:
    """What needs a GPU is left out anyway, and takes none of it."""
    site.checks("""
    @pytest.mark.level("standard", seconds=50, priority=1)
    @pytest.mark.requires("gpu")
    def check_gpu(device):
        pass
    @pytest.mark.level("standard", seconds=20, priority=2)
    def check_cpu(device):
        pass
    """)
    results = run(level="standard", within=60)
    assert results["site.gpu[cpu]"].summary == "rehearsal on the CPU"
    assert results["site.cpu[cpu]"].outcome == "passed"


def test_what_took_longer_than_it_says_leaves_no_time_for_the_next(site: Folder, run: Run) -> None:
    """A scheduler would end the run before its results are written."""
    site.checks("""
    import time
    @pytest.mark.level("standard", seconds=0.1, priority=1)
    def check_slow():
        time.sleep(5.4)
    @pytest.mark.level("standard", seconds=3, priority=2)
    def check_next():
        pass
    """)
    late = run(level="standard", within=8.2)["site.next"]
    assert (late.outcome, late.required) == ("skipped", False)
    assert re.match(r"left out by --within: it needs 3 s, and [0-2](\.\d)? s were left", late.summary)


def test_a_load_can_be_forced(site: Folder, run: Run, tmp_path: Path) -> None:
    site.workload("share", SHARE)
    site.checks(FAILS_ON_1.replace("PLACE", repr(str(tmp_path))))
    assert run(gpus=3, level="standard", force_load=True)["site.load[gpu1]"].outcome == "passed"
    assert loaded(tmp_path / "site" / "..")[:3] == ["0", "1", "2"]


BUSY = f"""
    def check_neighbours(device, warn):
        if device.index == 0:
            warn("pid 7 (alice, python) holds 1.1 GB of gpu0", busy=True)
    {STANDARD}def check_load(device, gpus, run):
        assert [gpu.index for gpu in gpus] == SEEN
        run("share.double", device=device.index)
"""


def test_a_busy_gpu_makes_the_loads_inconclusive(site: Folder, run: Run) -> None:
    site.workload("share", SHARE)
    site.checks(BUSY.replace("SEEN", "[1]"))
    results = run(gpus=2, level="standard")
    held = results["site.load[gpu0]"]
    assert (held.outcome, held.required) == ("skipped", True)
    assert held.summary == (
        "gpu0 gets no load: others use it, see site.neighbours[gpu0]; to load it all the same: --allow-busy"
    )
    assert results["site.load[gpu1]"].outcome == "passed"
    assert judge(tuple(results.values())) == "inconclusive"


def test_a_busy_gpu_can_be_allowed(site: Folder, run: Run) -> None:
    site.workload("share", SHARE)
    site.checks(BUSY.replace("SEEN", "[0, 1]"))
    results = run(gpus=2, level="standard", allow_busy=True)
    assert results["site.load[gpu0]"].outcome == "passed"
    assert judge(tuple(results.values())) == "accepted"


WORTH = """
    @pytest.mark.level("standard", seconds=20, priority=2)
    def check_nice(device):
        pass
    @pytest.mark.level("standard", seconds=20, priority=1)
    def check_vital(device):
        pass
    @pytest.mark.level("standard", seconds=4, per_gpu=2, priority=3)
    def check_small():
        pass
    def check_quick():
        pass
"""


@pytest.mark.parametrize(
    ("within", "ran"),
    [
        (5.05, set()),
        (10.0, {"quick"}),
        (30.0, {"quick", "vital[gpu0]", "vital[gpu1]"}),
        (33.2, {"quick", "vital[gpu0]", "vital[gpu1]", "small"}),
        (60.0, {"quick", "vital[gpu0]", "vital[gpu1]", "nice[gpu0]", "nice[gpu1]", "small"}),
    ],
)
def test_what_fits_runs_the_most_valuable_first(site: Folder, run: Run, within: float, ran: set[str]) -> None:
    site.checks(WORTH)
    results = run(gpus=2, level="standard", within=within)
    assert {name.removeprefix("site.") for name, result in results.items() if result.outcome == "passed"} == ran
    assert len(results) == 6, "what did not run is listed"
    for name, result in results.items():
        if result.outcome != "passed":
            assert result.summary.startswith("left out by --within: it needs ")
            assert result.required == (name == "site.quick"), (
                "a prolog that has no time for the quick ones proves nothing"
            )


def test_what_a_level_may_cost_is_a_number(site: Folder, run: Run) -> None:
    site.checks("@pytest.mark.level('quick', seconds='long')\ndef check_it():\n    pass\n")
    for result in (run()["site.it"], run(within=60.0)["site.it"]):
        assert result.outcome == "error"
        assert "level(seconds='long'): give seconds, per_gpu, priority as numbers" in result.summary


def test_time_is_given_to_what_k_chose(site: Folder, run: Run) -> None:
    site.checks(WORTH)
    results = run(gpus=1, level="standard", within=30.0, keyword="check_site and nice")
    assert {name: result.outcome for name, result in results.items()} == {"site.nice[gpu0]": "passed"}


def test_all_folders_share_the_time(site: Folder, run: Run, tmp_path: Path) -> None:
    second = Folder(tmp_path / "second")
    long = f"{STANDARD.strip().replace(')', ', seconds=20)')}\ndef check_long():\n    pass\n"
    site.checks(long)
    second.checks(long, name="check_site_two")
    results = run(level="standard", within=30.0, folders=(site.path, second.path))
    assert [result.outcome for result in results.values()] == ["passed", "skipped"]


def test_gpus_whose_names_nobody_knows_are_not_alike(site: Folder, run: Run) -> None:
    unknown = tuple(facts.gpu(index, name=Unknown("GPU is lost")) for index in range(2))
    site.workload("share", SHARE)
    site.checks("""
    def check_it(device, run):
        run("share.double", device=device.index)
        assert run.others() == {}
    """)
    results = run(gpus=2, host=replace(facts.host(2), gpus=unknown))
    assert [result.outcome for result in results.values()] == ["passed", "passed"]


def test_nothing_begins_on_a_gpu_that_hangs(site: Folder, run: Run, tmp_path: Path) -> None:
    """Whoever compares would wait for it until its deadline."""
    hangs = facts.gpu(1, uuid=Late("NVML did not answer in 3 s"))
    place = tmp_path / "place"
    place.mkdir()
    site.workload("share", SHARE)
    site.checks(f"""
    def check_it(device, run):
        run("share.double", device=device.index, place={str(place)!r})
        assert run.others() == {{}}
    """)
    results = run(gpus=2, host=replace(facts.host(2), gpus=(facts.gpu(0), hangs)))
    assert [result.outcome for result in results.values()] == ["passed", "skipped"]
    assert loaded(place) == ["0"]


def test_a_call_that_one_gpu_makes_besides_repeats_no_work(site: Folder, run: Run, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    site.workload("share", SHARE)
    site.checks(f"""
    def check_it(device, run):
        if device.index == 0:
            run("share.double", device=0, alone=True, place={str(place)!r})
        run("share.double", device=device.index, place={str(place)!r})
    """)
    assert {result.outcome for result in run(gpus=3).values()} == {"passed"}
    assert loaded(place) == ["0", "0", "1", "2"]


def test_the_same_call_made_twice_is_two_calls(site: Folder, run: Run, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    site.workload("share", SHARE)
    call = f'run("share.double", device=device.index, place={str(place)!r})'
    site.checks(f"def check_it(device, run):\n    {call}\n    {call}\n")
    run(gpus=2)
    assert loaded(place) == ["0", "0", "1", "1"]


def test_a_load_of_no_gpu_waits_for_those_that_still_work(site: Folder, run: Run, tmp_path: Path) -> None:
    """One GPU failed early, and what had begun on the others must not be in the way of what comes next."""
    place = tmp_path / "place"
    place.mkdir()
    site.workload(
        "meet",
        """
        import os, time
        def work(device, place):
            mine = os.path.join(place, str(device))
            open(mine, "w").close()
            time.sleep(0.5 * device)
            os.unlink(mine)
        def look(place):
            return os.listdir(place)
        """,
    )
    site.checks(f"""
    {STANDARD}def check_a(device, run):
        if device.index == 0:
            run("meet.work", device=0, place={str(place)!r})
    {STANDARD}def check_b(run):
        assert run("meet.look", place={str(place)!r}) == []
    """)
    assert {result.outcome for result in run(gpus=2, level="standard").values()} == {"passed"}


def test_where_there_is_no_gpu_no_load_can_be_forced(site: Folder, run: Run) -> None:
    site.checks(f"""
    def check_health(device):
        pass
    {STANDARD}def check_load(device):
        pass
    """)
    results = run(gpus=0, level="standard")
    assert {result.summary for result in results.values()} == {"no usable GPU: the driver is there, but lists no GPU"}
    assert {result.outcome for result in results.values()} == {"failed"}
