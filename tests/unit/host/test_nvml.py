"""NVML's facts, from the real pynvml and a fake C library: all of them, some of them, none of them, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from paddle_bootstrap.host import nvml
from paddle_bootstrap.host.facts import Gpu, HostFacts, Late, Unknown
from tests.fakes.host import A100, H100, NO_GPU, FakeGpu, FakeHost
from tests.fakes.libraries import fake_nvml

ROOT = Path(__file__).resolve().parents[3]
Read = Callable[..., HostFacts]


def faulty(**faults: str) -> FakeGpu:
    return FakeGpu(faults=faults)


def gpus(facts: HostFacts) -> tuple[Gpu, ...]:
    assert isinstance(facts.gpus, tuple), facts.gpus
    return facts.gpus


def reason(value: object) -> str:
    assert isinstance(value, Unknown), value
    return value.reason


def unknowns(gpu: Gpu) -> list[str]:
    return [field.name for field in fields(gpu) if isinstance(getattr(gpu, field.name), Unknown)]


def test_two_healthy_gpus(read: Read) -> None:
    """The fake library prints on standard output meanwhile: that must not get between the answers."""
    host = FakeHost(gpus=(A100, H100))
    facts = read(host)
    assert facts.driver.library == "535.104.05"
    assert facts.driver.cuda_version == (12, 2)
    assert facts.driver.nvml_code is None
    assert facts.pynvml_problem is None
    assert facts.gpus == (
        Gpu(0, host.uuid(0), "0000:10:00.0", "NVIDIA A100-SXM4-80GB", (8, 0), 85_899_345_920, mig=False),
        Gpu(1, host.uuid(1), "0000:11:00.0", "NVIDIA H100 80GB HBM3", (9, 0), 85_520_809_984, mig=False),
    )


def test_address_is_the_kernels(read: Read) -> None:
    """NVML writes eight digits and capitals; the bus has four and small letters."""
    (gpu,) = gpus(read(FakeHost(gpus=(faulty(pci="0001:3B:0A.0"),))))
    assert gpu.pci_address == "0001:3b:0a.0"


def test_mig(read: Read) -> None:
    on, unsupported, failed = gpus(read(FakeHost(gpus=(faulty(mig="1"), faulty(mig="!3"), faulty(mig="!999")))))
    assert on.mig is True
    assert unsupported.mig is False
    assert reason(failed.mig) == "nvmlDeviceGetMigMode: NVML code 999: Unknown Error"


@pytest.mark.parametrize("code", [9, 12, 18, 999])
def test_initialisation_fails(read: Read, code: int) -> None:
    facts = read(FakeHost(driver="550.54.15", library="535.104.05", system={"init": f"!{code}"}))
    assert facts.driver.nvml_code == code
    assert reason(facts.gpus).startswith(f"nvmlInit: NVML code {code}: ")
    assert facts.driver.library == "535.104.05"  # from its file's name
    assert facts.driver.kernel_module == "550.54.15"
    assert isinstance(facts.driver.cuda_version, Unknown)


def test_library_missing(read: Read) -> None:
    facts = read(NO_GPU)
    assert facts.driver.nvml_code == 12
    assert "not_installed_on_this_fake_host" in reason(facts.gpus)  # the loader's own words
    assert isinstance(facts.driver.library, Unknown)


def test_library_damaged(read: Read, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("half a download")
    facts = read(FakeHost(), LD_LIBRARY_PATH=str(tmp_path))
    assert facts.driver.nvml_code == 12
    assert f"{tmp_path}/libnvidia-ml.so.1: file too short" in reason(facts.driver.library)


def test_one_getter_fails(read: Read) -> None:
    bad, good = gpus(read(FakeHost(gpus=(faulty(memory="!15"), A100))))
    assert unknowns(bad) == ["memory_bytes"]
    assert reason(bad.memory_bytes) == "nvmlDeviceGetMemoryInfo: NVML code 15: GPU is lost"
    assert unknowns(good) == []


def test_a_code_that_pynvml_does_not_know(read: Read) -> None:
    (gpu,) = gpus(read(FakeHost(gpus=(faulty(name="!1234"),))))
    assert reason(gpu.name) == "nvmlDeviceGetName: NVML code 1234: fake NVML error 1234"


def test_a_name_that_is_not_utf8(read: Read) -> None:
    (gpu,) = gpus(read(FakeHost(gpus=(faulty(name="caf\udce9"),))))
    assert reason(gpu.name) == "nvmlDeviceGetName: the answer b'caf\\xe9' is not UTF-8"
    assert unknowns(gpu) == ["name"]


def test_one_gpu_cannot_be_had(read: Read) -> None:
    lost, good = gpus(read(FakeHost(gpus=(faulty(handle="!15"), A100))))
    assert len(unknowns(lost)) == 6
    assert reason(lost.uuid) == "nvmlDeviceGetHandleByIndex: NVML code 15: GPU is lost"
    assert unknowns(good) == []


def test_gpus_cannot_be_counted(read: Read) -> None:
    facts = read(FakeHost(system={"count": "!10"}))
    assert reason(facts.gpus).startswith("nvmlDeviceGetCount: NVML code 10: ")
    assert facts.driver.library == "535.104.05"


def test_a_stuck_gpu_leaves_the_rest_known(read: Read) -> None:
    began = time.monotonic()
    first, stuck, after = gpus(read(FakeHost(gpus=(A100, faulty(memory="~60"), A100)), deadline=2.5))
    assert time.monotonic() - began < 10
    assert unknowns(first) == []
    assert unknowns(stuck) == ["memory_bytes", "mig"]
    assert unknowns(after) == []
    assert isinstance(stuck.memory_bytes, Late)
    assert reason(stuck.memory_bytes) == "NVML did not answer in 2.5 s while asked for nvmlDeviceGetMemoryInfo of GPU 1"


def test_one_that_ends_the_process_leaves_the_rest_known(read: Read) -> None:
    host = FakeHost(gpus=(A100, faulty(name="^11"), A100, faulty(handle="!15"), faulty(mig="!3")))
    first, deadly, after, lost, old = gpus(read(host))
    assert unknowns(first) == unknowns(after) == unknowns(old) == []
    assert old.mig is False
    assert after == Gpu(2, host.uuid(2), host.address(2), A100.name, (8, 0), 85_899_345_920, mig=False)
    assert reason(deadly.name).startswith(
        "the process that asks NVML died of SIGSEGV while asked for nvmlDeviceGetName"
    )
    assert reason(lost.uuid) == "nvmlDeviceGetHandleByIndex: NVML code 15: GPU is lost"


def test_two_that_cannot_be_opened_are_waited_for_together(read: Read) -> None:
    began = time.monotonic()
    stuck = faulty(handle="~60")
    first, *late, last = gpus(read(FakeHost(gpus=(A100, stuck, stuck, stuck, A100)), deadline=2.5))
    assert time.monotonic() - began < 10  # one for the first of them, and one for the others
    assert unknowns(first) == unknowns(last) == []
    assert [type(gpu.uuid) for gpu in late] == [Late] * 3


def test_stuck_from_the_start(read: Read) -> None:
    facts = read(FakeHost(system={"init": "~60"}), deadline=0.5)
    assert reason(facts.gpus) == "NVML did not answer in 0.5 s while asked for nvmlInit"
    assert facts.driver.nvml_code is None
    assert facts.driver.kernel_module == "535.104.05"


def test_one_that_prints_without_end_is_late_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys\nwhile True: sys.stderr.write('noise')"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as child:
        found = nvml.finish(child, start=0.3)
    assert reason(found.gpus) == "NVML did not answer in 0.3 s while it started"


def test_the_stuck_child_is_gone_with_all_it_started(tmp_path: Path) -> None:
    environ = {**os.environ, **FakeHost(system={"init": "~60"}).write(tmp_path)}
    with nvml.asking(environ) as child:
        nvml.finish(child, start=0.5)
    assert child.returncode == -9
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)


def test_the_child_does_not_outlive_an_interruption(tmp_path: Path) -> None:
    environ = {**os.environ, **FakeHost(system={"init": "~60"}).write(tmp_path)}
    with pytest.raises(KeyboardInterrupt), nvml.asking(environ) as child:
        raise KeyboardInterrupt
    assert child.returncode == -9


def test_a_child_that_cannot_leave_the_driver_is_not_waited_for(read: Read) -> None:
    began = time.monotonic()
    assert unknowns(gpus(read(FakeHost(system={"exit": "~60"})))[0]) == []
    assert time.monotonic() - began < 5


COLLECT = """
import json, os, pathlib, sys
from paddle_bootstrap.host.collect import collect
from paddle_bootstrap.host.facts import to_json
facts = collect(root=pathlib.Path(os.environ.get("PADDLE_BOOTSTRAP_ROOTFS", "/")), deadline=float(sys.argv[1]))
print(json.dumps(to_json(facts)))
"""


def test_a_child_in_d_state_is_left_behind(tmp_path: Path) -> None:
    """Neither the reading nor the end of our own process waits for it."""
    environ = {**os.environ, **FakeHost(system={"count": "@8"}).write(tmp_path), "PYTHONWARNINGS": "error"}
    began = time.monotonic()
    command = [sys.executable, "-c", COLLECT, "0.5"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 5  # the deadline, one second to reap in vain, and two interpreters
    facts = json.loads(done.stdout)
    assert facts["driver"]["library"] == "535.104.05"
    assert facts["gpus"]["unknown"] == (
        "NVML did not answer in 0.5 s while asked for nvmlDeviceGetCount; "
        "the process that asks it cannot be ended (D state) and was left behind"
    )
    assert done.stderr == ""


def test_a_crash_is_named(read: Read) -> None:
    facts = read(FakeHost(gpus=(faulty(uuid="^11"),)))
    (gpu,) = gpus(facts)
    expected = "the process that asks NVML died of SIGSEGV while asked for nvmlDeviceGetUUID of GPU 0"
    assert reason(gpu.uuid).startswith(f"{expected}: a library may print")  # with its last words
    assert facts.driver.library == "535.104.05"


def test_python_settings_do_not_reach_the_child(read: Read) -> None:
    assert unknowns(gpus(read(FakeHost(), PYTHONHOME="/nowhere", PYTHONPATH="/nowhere"))[0]) == []


OLD_CALL = """
import pynvml
from paddle_bootstrap.host.nvml_child import Sweep
sweep = Sweep(pynvml)
sweep.ask("init", "nvmlInit")
handle = sweep.ask("handle", "nvmlDeviceGetHandleByIndex", 0, shape=lambda _: True, gpu=0)
sweep.ask("processes", "nvmlDeviceGetComputeRunningProcesses", handle, gpu=0)
"""


def test_a_mismatch_that_is_not_an_nvml_error(tmp_path: Path) -> None:
    """pynvml has an exception outside its family, for functions that an old library lacks: it is an answer all the same."""
    library = fake_nvml(without=r"nvmlDeviceGet\w+RunningProcesses\w*")
    environ = {**os.environ, **FakeHost().write(tmp_path), "LD_LIBRARY_PATH": str(library.parent)}
    command = [sys.executable, "-c", OLD_CALL]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["fact"] == "processes"
    assert last["code"] is None
    assert "pyNVML version does not match" in last["unknown"]


def test_nothing_is_asked_twice_and_nothing_is_changed(read: Read, tmp_path: Path) -> None:
    read(FakeHost(gpus=(A100, H100)), FAKE_NVML_TRACE=str(tmp_path / "trace"))
    asked = (tmp_path / "trace").read_text().splitlines()
    asked = [name for name in asked if name != "sys.exit"]
    assert len(asked) == len(set(asked)) == 4 + 2 * 7
    assert not [name for name in asked if "Set" in name]


def test_the_deadlines_of_a_hanging_driver_add_up_to_less_than_twenty_seconds() -> None:
    """A card that cannot be opened, others asked again after it, and a reading that hangs: one after the other."""
    assert nvml.START_SECONDS + nvml.START_SECONDS / 2 + nvml.CALL_SECONDS <= 16
