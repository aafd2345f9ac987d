"""Checks that run once per GPU: all GPUs at once, each in its own worker."""

from __future__ import annotations

from pathlib import Path

from paddle_bootstrap.results.model import judge
from tests.fakes import facts
from tests.unit.harness.folders import Folder, Run

MEET = """
import os, time
def all(device, place, count):
    open(os.path.join(place, str(device)), "w").close()
    while len(os.listdir(place)) < count:
        time.sleep(0.01)
    return [os.getpid(), device]
def again(device=None):
    return os.getpid()
"""


def place(tmp_path: Path) -> Path:
    (tmp_path / "meeting").mkdir()
    return tmp_path / "meeting"


def test_all_gpus_work_at_once_each_in_a_worker_of_its_own(site: Folder, run: Run, tmp_path: Path) -> None:
    """No GPU's call ends before all have begun."""
    site.workload("meet", MEET)
    site.checks(f"""
    seen = {{}}
    def check_it(device, run):
        pid, ordinal = run("meet.all", device=device.index, deadline=10, place={str(place(tmp_path))!r}, count=3)
        assert ordinal == device.ordinal
        assert run("meet.again", device=device.index) == pid
        seen[device.label] = pid
    def check_workers(run):
        assert sorted(seen) == ["gpu0", "gpu1", "gpu2"]
        assert len(set(seen.values())) == 3
        assert run("meet.again", device=None) == seen["gpu0"]  # calls that name no GPU share the first one's
    """)
    results = run(gpus=3)
    assert {name: result.outcome for name, result in results.items()} == {
        "site.it[gpu0]": "passed",
        "site.it[gpu1]": "passed",
        "site.it[gpu2]": "passed",
        "site.workers": "passed",
    }
    assert [result.device for result in results.values()] == ["gpu0", "gpu1", "gpu2", None]


def test_ordinals_are_cudas_and_labels_are_the_drivers(site: Folder, run: Run) -> None:
    site.workload("meet", MEET.replace("os.getpid()", "device"))
    site.checks("""
    def check_it(device, run, gpus):
        assert run("meet.again", device=device.index) == device.ordinal
        assert [gpu.index for gpu in gpus] == [3, 1]
    """)
    results = run(gpus=4, host=facts.host(4, visible_devices="3,1"))
    assert {name: result.outcome for name, result in results.items()} == {
        "site.it[gpu3]": "passed",
        "site.it[gpu1]": "passed",
    }


def test_one_gpu_that_crashes_does_not_touch_the_others(site: Folder, run: Run) -> None:
    site.workload("meet", "import os\ndef all(device):\n    if device == 1:\n        os.abort()\n    return device\n")
    site.checks("def check_it(device, run):\n    run('meet.all', device=device.index)\n")
    results = run(gpus=3)
    assert [result.outcome for result in results.values()] == ["passed", "failed", "passed"]
    assert results["site.it[gpu1]"].cause == "crash"


def test_a_gpu_that_was_not_chosen_is_left_alone(site: Folder, run: Run, tmp_path: Path) -> None:
    site.workload("meet", MEET)
    meeting = place(tmp_path)
    site.checks(f"""
    def check_it(device, run):
        run("meet.all", device=device.index, deadline=10, place={str(meeting)!r}, count=1)
    """)
    assert list(run(gpus=3, keyword="check_site and gpu1")) == ["site.it[gpu1]"]
    assert [path.name for path in meeting.iterdir()] == ["1"]


def test_parameters_beside_the_device(site: Folder, run: Run, tmp_path: Path) -> None:
    """Each call is made once for each GPU and parameter, though the parameter is not among its arguments."""
    site.workload(
        "count", "import os\ndef up(device, place):\n    with open(place, 'a') as file:\n        file.write('.')\n"
    )
    site.checks(f"""
    @pytest.mark.parametrize("floor", [1, 2])
    def check_it(device, run, floor):
        run("count.up", device=device.index, place={str(tmp_path / "count")!r})
    """)
    assert len(run(gpus=2)) == 4
    assert (tmp_path / "count").read_text() == "...."


def test_a_check_that_goes_through_the_gpus_itself(site: Folder, run: Run, tmp_path: Path) -> None:
    site.workload(
        "count",
        "import os\ndef up(device, place):\n    with open(place, 'a') as file:\n        file.write(str(device))\n",
    )
    site.checks(f"""
    def check_it(gpus, run):
        for gpu in gpus:
            run("count.up", device=gpu.index, place={str(tmp_path / "count")!r})
        run("count.up", device="cpu", place={str(tmp_path / "count")!r})
    """)
    assert run(gpus=3)["site.it"].outcome == "passed"
    assert (tmp_path / "count").read_text() == "012cpu"


def test_a_gpu_that_is_not_there_is_an_error_of_the_check(site: Folder, run: Run) -> None:
    site.workload("meet", MEET)
    site.checks("def check_it(run):\n    run('meet.again', device=7)\n")
    result = run(gpus=2)["site.it"]
    assert (result.outcome, "there is no GPU 7 among [0, 1]" in result.summary) == ("error", True)


def test_no_gpu_where_one_is_required_is_a_failure_and_never_a_skip(site: Folder, run: Run) -> None:
    site.checks("def check_a(device):\n    pass\ndef check_b(gpus):\n    pass\n")
    results = run(gpus=0)
    assert [(result.outcome, result.cause) for result in results.values()] == [("failed", "requirement")] * 2
    assert results["site.a[gpu]"].summary == "no usable GPU: the driver is there, but lists no GPU"
    assert judge(list(results.values())) == "rejected"
