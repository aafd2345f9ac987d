"""What a run is given: each variable that matters, selections of GPUs that are wrong, a container that lost its devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.host.facts import HostFacts, Unknown
from paddle_bootstrap.results.model import CheckResult
from paddle_bootstrap.toml import read
from tests.checks.alone import alone
from tests.checks.judging import fails, passes, warns

VARIABLES = read(built_in_checks() / "environment.toml")["variable"]
SAMPLES = {
    "LD_LIBRARY_PATH": "/usr/lib:/usr/local/cuda/lib64/stubs",
    "LD_PRELOAD": "/usr/local/vgpu/libvgpu.so",
    "NVIDIA_VISIBLE_DEVICES": "void",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "50",
    "NCCL_*": "Ring",
}
HARMLESS = {
    "CUDA_PROFILE": "0",
    "CUDA_LAUNCH_BLOCKING": "",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "100",
    "LD_LIBRARY_PATH": "/usr/lib:/opt/stubs.d/lib",
    "LD_PRELOAD": "/usr/lib/libjemalloc.so",
    "NCCL_DEBUG": "INFO",
    "NCCL_DEBUG_FILE": "/tmp/nccl",
    "NCCL_VERSION": "2.17.1-1",
    "NVIDIA_VISIBLE_DEVICES": "all",
}


def judged(check: str, facts: HostFacts) -> CheckResult:
    return alone(facts, None, "environment", keyword=check)[f"environment.{check}"]


def variables(facts: HostFacts, given: Mapping[str, str]) -> CheckResult:
    return judged("variables", replace(facts, variables=given))


def test_each_variable_warns_and_says_what_to_do(healthy: HostFacts) -> None:
    """All in one run: a warning for each, in its own words."""
    meant = [row for row in VARIABLES if row.get("value") != "(?!)"]
    given = {row["name"].replace("*", "ALGO"): SAMPLES.get(row["name"], "1") for row in meant}
    result = variables(healthy, given)
    assert result.outcome == "warned"
    assert len(result.warnings) == len(meant)
    for row, warning in zip(meant, result.warnings, strict=True):
        assert warning.startswith(f"{row['name'].replace('*', 'ALGO')}=")
        assert row["does"] in warning
        assert row.get("fix", "unset") in warning
        assert row["source"]


def test_what_changes_nothing_says_nothing(healthy: HostFacts) -> None:
    passes(variables(healthy, HARMLESS))
    passes(variables(healthy, {}))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("0,5", ["'5' is none of 2 GPUs"]),
        ("-1", ["'-1' is none of 2 GPUs", "nvidia-smi -L"]),
        ("GPU-", ["'GPU-' is the beginning of 2 UUIDs: GPU-"]),
        ("GPU-no", ["'GPU-no' is none of 2 GPUs"]),
        ("0,0", ["'0' names gpu0 a second time"]),
        ("0,,1", ["'' is none of 2 GPUs"]),
        ("MIG-1234", ["'MIG-1234' is none of 2 GPUs"]),
    ],
)
def test_a_selection_of_what_is_not_there_fails(healthy: HostFacts, setting: str, words: list[str]) -> None:
    result = judged("variables", replace(healthy, visible_devices=setting))
    fails(result, "CUDA_VISIBLE_DEVICES names what is not there", f"CUDA_VISIBLE_DEVICES={setting}", *words)


@pytest.mark.parametrize(("setting", "hidden"), [("0", "1 of 2 GPUs: gpu1 (GPU-"), ("1,", "1 of 2")])
def test_a_selection_that_hides_gpus_warns(healthy: HostFacts, setting: str, hidden: str) -> None:
    warns(judged("variables", replace(healthy, visible_devices=setting)), f"hides {hidden}", "unset")


@pytest.mark.parametrize("setting", ["", " "])
def test_a_selection_of_nothing_fails(healthy: HostFacts, setting: str) -> None:
    """Nothing would be judged, and nothing could be trained on."""
    result = judged("variables", replace(healthy, visible_devices=setting))
    fails(result, "CUDA_VISIBLE_DEVICES hides every GPU", f"CUDA_VISIBLE_DEVICES={setting!r}", "sbatch")


def test_a_selection_of_all_is_none(healthy: HostFacts) -> None:
    assert isinstance(healthy.gpus, tuple)
    passes(judged("variables", replace(healthy, visible_devices="1,0")))
    passes(judged("variables", replace(healthy, visible_devices=",".join(str(gpu.uuid) for gpu in healthy.gpus))))
    passes(judged("variables", replace(healthy, visible_devices="7", gpus=Unknown("see host.driver_loaded"))))


def test_slices_of_one_gpu(healthy: HostFacts) -> None:
    assert isinstance(healthy.gpus, tuple)
    sliced = (replace(healthy.gpus[0], mig=True),)
    passes(judged("variables", replace(healthy, gpus=sliced, visible_devices="MIG-aaaa,MIG-bbbb")))


@pytest.mark.parametrize("code", [17, 999])
def test_a_container_that_lost_its_devices(healthy: HostFacts, code: int) -> None:
    lost = replace(healthy, driver=replace(healthy.driver, nvml_code=code))
    fails(judged("container", replace(lost, container="docker")), f"code {code}", "docker", "daemon-reload", "CDI")
    fails(judged("container", replace(lost, container=None)), f"code {code}", "is refused the devices", "DeviceAllow")


@pytest.mark.parametrize("code", [None, 9, 12, 18])
def test_other_troubles_of_nvml_are_not_the_containers(healthy: HostFacts, code: int | None) -> None:
    passes(judged("container", replace(healthy, driver=replace(healthy.driver, nvml_code=code))))
