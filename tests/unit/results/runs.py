"""Runs of every kind, as results: what reports and files are tested with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from paddle_bootstrap.results.model import CheckResult, Measurement, Results

GPU_LOCK: dict[str, Any] = {
    "name": "gpu-2_6_2-cu118",
    "sha256": "ab" * 32,
    "build": {"package": "paddlepaddle-gpu", "version": "2.6.2", "cuda": "11.8", "device": "gpu"},
}
CPU_LOCK: dict[str, Any] = {
    "name": "cpu-3_3_1",
    "sha256": "cd" * 32,
    "build": {"package": "paddlepaddle", "version": "3.3.1", "cuda": None, "device": "cpu"},
}
TARGET = {"env": "/srv/paddle", "receipt": True, "python": "3.11.7", "cuda_runtime": "wheels"}
FACTS = {
    "hostname": "node7",
    "os": "Debian GNU/Linux 12 (bookworm)",
    "driver": {"kernel_module": "535.104.05"},
    "gpus": [{"index": index, "name": "NVIDIA A100-SXM4-80GB"} for index in range(8)],
}
NO_DRIVER = {
    "hostname": "laptop",
    "os": {"unknown": "/etc/os-release: No such file or directory"},
    "driver": {"kernel_module": {"unknown": "not loaded"}},
    "gpus": {"unknown": "no driver"},
}
TWO_H100 = {**FACTS, "gpus": [{"index": index, "name": "NVIDIA H100 80GB HBM3"} for index in range(2)]}
MIRROR = "tuna (https://pypi.tuna.tsinghua.edu.cn/simple)"
TRANSFERS = (
    {
        "filename": "paddlepaddle_gpu-2.6.2-cp311-cp311-manylinux1_x86_64.whl",
        "mirror": "official (https://index.example/simple)",
        "bytes": 100_000_000,
        "resumed_bytes": 0,
        "seconds": 60.0,
        "outcome": "failed",
        "error": "the transfer was cut at 100 MB",
        "connections": 4,
        "errors": 3,
        "wrong_pieces": 0,
    },
    {
        "filename": "paddlepaddle_gpu-2.6.2-cp311-cp311-manylinux1_x86_64.whl",
        "mirror": MIRROR,
        "bytes": 659_000_000,
        "resumed_bytes": 100_000_000,
        "seconds": 61.5,
        "outcome": "fetched",
        "error": None,
        "connections": 6,
        "errors": 0,
        "wrong_pieces": 0,
    },
)


def check(id_: str, title: str = "It is as it should be", **told: Any) -> CheckResult:
    return CheckResult(**{"id": id_, "title": title, "level": "quick", "outcome": "passed", **told})


def skipped(id_: str) -> CheckResult:
    return check(
        id_, outcome="skipped", cause="requirement", required=False, summary="rehearsal on the CPU", seconds=0.1
    )


DISK = check("host.disk", "The target's file system has room left")
DRIVER = check("host.driver_loaded", "Kernel module, library and nodes are there", seconds=0.06)
PACKAGES = check("install.packages", "Names and versions are those of the lock", seconds=0.5)
NETWORK = "A convolutional network trains, with every tensor on the device"
NO_CODE = check(
    "architecture.build",
    outcome="failed",
    cause="assertion",
    summary="no machine code for sm_90 in paddlepaddle-gpu 2.6.2",
    measured="GPU 0, NVIDIA H100 80GB HBM3: sm_90; GPU 1, NVIDIA H100 80GB HBM3: sm_90",
    expected="GPUs for its sm_61, 70, 75, 80, 86",
    likely="the GPU is newer, or much older, than this build; its first kernel would fail with CUDA error 209",
    fix="take a lock whose build has code for this GPU: --lock FILE; to rehearse without a GPU: --device cpu",
    seconds=2.0,
)
CRASHED = replace(
    NO_CODE,
    id="device.cnn[gpu0]",
    device="gpu0",
    cause="crash",
    summary="the workload cnn.train died of signal 11 (SIGSEGV)",
    measured="signal 11 after 2.1 s on gpu0",
    expected="an answer",
    likely="a driver that is too old, or a GPU that is broken",
    fix="dmesg | grep -i -e xid -e nvrm",
    evidence={
        "stderr": "line 1\nline 2\n",
        "stack": 'Fatal Python error: Segmentation fault\n  File "cnn.py", line 3\n',
    },
)
NEEDS_GPU = check(
    "device.cnn[gpu]",
    outcome="failed",
    cause="requirement",
    device="gpu",
    summary="no usable GPU: the NVIDIA kernel module is not loaded",
    fix="see the host checks",
)
NO_DRIVER_CHECK = check(
    "host.driver_loaded",
    outcome="failed",
    cause="assertion",
    summary="the NVIDIA driver is missing",
    measured="kernel module: /proc/driver/nvidia/version: No such file or directory; there is no /dev/nvidia*",
    expected="a loaded kernel module, its library and its device nodes",
    likely="no driver is installed",
    fix="as root: apt-get install nvidia-driver, then reboot; to rehearse: paddle-bootstrap up --device cpu",
)
BROKEN = check(
    "site.scratch",
    "The scratch disk has room",
    outcome="error",
    cause="raised",
    summary="KeyError: 'SCRATCH'",
    evidence={"traceback": 'site/check_scratch.py:7: in check_scratch\n    os.environ["SCRATCH"]\nE   KeyError\n'},
)
MATMUL = Measurement("matmul_fp16", 281.25, "TFLOP/s", 250.0, "baselines/a100.toml")


def per_gpu(count: int, **told: Any) -> tuple[CheckResult, ...]:
    return tuple(
        check(f"device.cnn[gpu{index}]", NETWORK, device=f"gpu{index}", seconds=0.4, measurements=(MATMUL,), **told)
        for index in range(count)
    )


LOADED = "1980 MHz, 61 C, 690 W"
HOT = "1410 MHz, 87 C, 520 W, HW thermal slowdown 41 %"


def taken(name: str, unit: str, values: tuple[float, ...], floor: float | None, **told: Any) -> tuple[CheckResult, ...]:
    """One check of each of so many GPUs that measured these values."""
    made = []
    for index, value in enumerate(values):
        peers = median(other for place, other in enumerate(values) if place != index)
        source = "0.75 x 730: gpu-fryer README" if floor else None
        found = Measurement(name, value, unit, floor, source, peers, LOADED)
        group = "copy" if name.startswith("copy") else "gemm"
        id_ = f"{group}.{name.removeprefix('copy_').removeprefix('matmul_')}[gpu{index}]"
        made.append(
            check(
                id_,
                f"{name} is right and reaches its floor",
                device=f"gpu{index}",
                seconds=6.0,
                measurements=(found,),
                **told,
            )
        )
    return tuple(made)


def measured() -> tuple[CheckResult, ...]:
    """Eight H100, of which gpu5 is slow and hot, and two have more memory than the model: that is accepted."""
    fp16 = list(taken("matmul_fp16", "TFLOP/s", (771.2, 769.9, 774.0, 768.3, 770.6, 612.4, 772.8, 770.1), 547.5))
    slow = replace(fp16[5].measurements[0], load=HOT)
    fp16[5] = replace(
        fp16[5],
        outcome="failed",
        cause="assertion",
        summary=f"matmul_fp16 612.4 TFLOP/s: 21% slower than its equals ({HOT})",
        measured="612.4 TFLOP/s",
        expected="floor 547.5 (0.75 x 730: gpu-fryer README), median of its equals 771",
        likely="heat, dust, or a loose power cable",
        fix="nvidia-smi -q -d CLOCK,TEMPERATURE,PERFORMANCE",
        measurements=(slow,),
    )
    allowed = {"reason": "bought with 94 GB modules", "expires": "2027-01-01"}
    sizes = tuple(
        check(
            f"memory.size[gpu{index}]",
            outcome="warned",
            device=f"gpu{index}",
            summary="94 GB on an 80 GB model: modified card",
            accepted=allowed,
        )
        for index in (2, 3)
    )
    fp32 = taken(
        "matmul_fp32",
        "TFLOP/s",
        (51.9, 52.0, 52.2, 51.8, 52.0, 48.1, 52.1, 51.9),
        None,
        outcome="warned",
        summary="no baseline for matmul_fp32 on NVIDIA H100 80GB HBM3: recorded",
    )
    copies = taken("copy_device", "GB/s", (3011.0, 3009.5, 3015.2, 3007.0, 3012.4, 2998.1, 3010.0, 3013.3), 1905.0)
    host = check(
        "collective.nccl",
        "All GPUs reduce together",
        level="standard",
        seconds=20.0,
        measurements=(Measurement("allreduce", 368.4, "GB/s", 270.0, "0.6 x 450: one way"),),
    )
    return (*sizes, *copies, *fp16, *fp32, host)


def run(*checks: CheckResult, **told: Any) -> Results:
    known: dict[str, Any] = {
        "tool": "paddle-bootstrap 0.1.0",
        "created": "2026-01-02T03:04:05+00:00",
        "level": "quick",
        "device": "gpu",
        "host": FACTS,
        "lock": GPU_LOCK,
        "target": TARGET,
        "transfers": (),
        "seconds": 8.25,
    }
    return Results(**{**known, **told}, checks=checks)


AWKWARD = run(
    check(
        "a_site_check_whose_name_is_longer_than_any_column.and_so_is_its_function_which_tells_a_whole_story_on_its_own",
        outcome="failed",
        cause="assertion",
        summary="数据盘的可用空间不足、数据加载进程会因为共享内存耗尽而被系统终止、请扩大挂载点后重新运行本检查",
        measured="/mnt/" + "very-long-folder-name/" * 8 + "数据集/训练.bin",
        expected="bell \x07, colour \x1b[31mred\x1b[0m and\ttab\nare not passed on; \ud7ff\udcff neither",
        likely="likely " * 20,
        fix="mount -o remount,size=200G /mnt/"
        + "a-folder-with-hyphens-that-may-not-be-broken/" * 2
        + " && paddle-bootstrap verify",
        seconds=123.4,
    ),
    check(
        "site.warned", outcome="warned", warnings=("日志盘已用 91%", "x" * 100), summary="日志盘已用 91%; " + "x" * 100
    ),
    host={**FACTS, "hostname": "a-host-in-a-domain." * 6 + "example", "gpus": [{"name": "显卡\x1b[2J"}, "damaged"]},
    target={"env": "/home/张三/my project's envs/" + "paddle-" * 12, "python": "3.11.7"},
)

RUNS: Mapping[str, Results] = {
    "rehearsal": run(
        skipped("host.driver_loaded"),
        skipped("host.driver_matches"),
        DISK,
        PACKAGES,
        skipped("architecture.build"),
        check(
            "device.cnn[cpu]", NETWORK, outcome="warned", device="cpu", summary="this was the CPU: no GPU was judged"
        ),
        device="cpu",
        host=NO_DRIVER,
        lock=CPU_LOCK,
        target={**TARGET, "cuda_runtime": None},
    ),
    "warned": run(
        DRIVER,
        check(
            "host.shared_memory",
            "/dev/shm has room",
            outcome="warned",
            warnings=("/dev/shm holds 0.06 GB",),
            summary="/dev/shm holds 0.06 GB",
        ),
        *per_gpu(8),
        transfers=TRANSFERS,
    ),
    "rejected": run(
        DRIVER,
        PACKAGES,
        NO_CODE,
        CRASHED,
        replace(CRASHED, id="device.cnn[gpu1]", device="gpu1", measured="signal 11 after 2.2 s on gpu1"),
        *(replace(NO_CODE, id=f"libraries.load[gpu{index}]", device=f"gpu{index}") for index in range(2)),
        host=TWO_H100,
    ),
    "inconclusive": run(DISK, check("host.cpu", outcome="skipped", summary="/proc is not mounted"), BROKEN),
    "preflight": run(
        NO_DRIVER_CHECK,
        DISK,
        NEEDS_GPU,
        replace(NEEDS_GPU, id="device.gpus_visible", device=None),
        stage="preflight",
        host=NO_DRIVER,
        target=None,
    ),
    "foreign": run(DISK, lock=None, target={"env": "/opt/conda"}),
    "nothing": run(target=None),
    "slow": run(
        *measured(),
        level="standard",
        host={**FACTS, "gpus": [{"index": index, "name": "NVIDIA H100 80GB HBM3"} for index in range(8)]},
    ),
    "allowed": run(
        replace(
            NO_CODE,
            id="memory.size[gpu0]",
            device="gpu0",
            summary="48 GB on a 24 GB model",
            accepted={"reason": "modified cards, known", "expires": "2027-01-01"},
        ),
        *per_gpu(2),
        host=TWO_H100,
    ),
    "awkward": AWKWARD,
}
