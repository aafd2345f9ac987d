"""The system below a root: each reader with a value, without its file, and with garbage in it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_bootstrap.host import linux
from paddle_bootstrap.host.facts import Unknown

Put = Callable[[str, "str | bytes"], Path]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n', "Debian GNU/Linux 12 (bookworm)"),
        ("PRETTY_NAME=Arch\n", "Arch"),
        ("PRETTY_NAME='single'\n", "single"),
        ('PRETTY_NAME="no end\n', "no end"),
        (b'PRETTY_NAME="caf\xe9"\n', "caf\\xe9"),
    ],
)
def test_os_name(put: Put, content: str | bytes, expected: str) -> None:
    assert linux.os_name(put("etc/os-release", content)) == expected


def test_os_name_elsewhere(put: Put) -> None:
    assert linux.os_name(put("usr/lib/os-release", "PRETTY_NAME=Minimal\n")) == "Minimal"


def test_os_name_unknown(put: Put, tmp_path: Path) -> None:
    assert linux.os_name(tmp_path) == Unknown(f"{tmp_path}/etc/os-release: No such file or directory")
    assert linux.os_name(put("etc/os-release", "\0\0garbage")) == Unknown(
        f"{tmp_path}/etc/os-release has no PRETTY_NAME"
    )


def test_hostname(put: Put, tmp_path: Path) -> None:
    assert linux.hostname(Path("/")) == linux.hostname(tmp_path) == platform.node()
    assert linux.hostname(put("etc/hostname", "node17\n")) == "node17"
    assert linux.hostname(put("etc/hostname", " \n")) == platform.node()


def test_cpu(put: Put, tmp_path: Path) -> None:
    one = "processor\t: {}\nmodel name\t: Xeon(R) Platinum\nflags\t\t: sse fpu avx\n"
    put("proc/cpuinfo", one.format(0) + one.format(1).replace("Xeon", "Other"))
    assert linux.cpu(tmp_path) == ("Xeon(R) Platinum", ("avx", "fpu", "sse"))


def test_cpu_unknown(put: Put, tmp_path: Path) -> None:
    missing = Unknown(f"{tmp_path}/proc/cpuinfo: No such file or directory")
    assert linux.cpu(tmp_path) == (missing, missing)
    model, flags = linux.cpu(put("proc/cpuinfo", "Features : neon\n"))
    assert model == Unknown(f"{tmp_path}/proc/cpuinfo has no model name")
    assert flags == Unknown(f"{tmp_path}/proc/cpuinfo has no flags")


GIB = 1 << 30
MEMINFO = f"MemTotal:       {64 * GIB // 1024} kB\nMemFree: 1 kB\n"


def test_memory_of_the_host(put: Put) -> None:
    assert linux.memory(put("proc/meminfo", MEMINFO)) == 64 * GIB


def test_memory_unknown(put: Put, tmp_path: Path) -> None:
    assert linux.memory(tmp_path) == Unknown(f"{tmp_path}/proc/meminfo: No such file or directory")
    assert linux.memory(put("proc/meminfo", "nonsense")) == Unknown(f"{tmp_path}/proc/meminfo has no MemTotal")


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": 8}, 8),
        ("0::/\n", {"memory.max": 100}, 64),
        ("0::/jobs/mine\n", {"jobs/memory.max": 4, "jobs/mine/memory.max": 16}, 4),
        ("0::/jobs/mine\n", {"jobs/mine/memory.max": 16}, 16),
        ("3:cpu:/\n2:memory:/job\n", {"memory/job/memory.limit_in_bytes": 2}, 2),
        ("2:cpu:/job\n", {"memory/job/memory.limit_in_bytes": 2}, 64),
        (None, {"memory.max": 8, "memory/memory.limit_in_bytes": 4}, 4),
    ],
)
def test_memory_of_the_control_group(
    put: Put, tmp_path: Path, membership: str | None, limits: dict[str, int], expected: int
) -> None:
    put("proc/meminfo", MEMINFO)
    if membership:
        put("proc/self/cgroup", membership)
    for path, gib in limits.items():
        put(f"sys/fs/cgroup/{path}", f"{gib * GIB}\n")
    assert linux.memory(tmp_path) == expected * GIB


def test_no_memory_limit(put: Put, tmp_path: Path) -> None:
    put("proc/meminfo", MEMINFO)
    put("sys/fs/cgroup/memory.max", "max\n")
    assert linux.memory(tmp_path) == 64 * GIB


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("proc/self/cgroup", "0::/user.slice/session-1.scope\n", None),
        ("proc/self/cgroup", "0::/system.slice/docker.service\n", None),
        ("proc/self/cgroup", "garbage\0", None),
        ("proc/self/cgroup", "0::/docker/0a1b2c\n", "docker"),
        ("proc/self/cgroup", "0::/system.slice/docker-0a1b2c.scope\n", "docker"),
        ("proc/self/cgroup", "0::/kubepods.slice/cri-containerd-1.scope\n", "kubernetes"),
        ("proc/1/cgroup", "1:name=systemd:/lxc/box\n", "lxc"),
        ("proc/self/mounts", "overlay / overlay rw,lowerdir=/var/lib/docker/overlay2/l/X 0 0\n", "docker"),
        ("proc/self/mounts", "overlay /mnt overlay rw,lowerdir=/var/lib/docker/overlay2/l/X 0 0\n", None),
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("run/secrets/kubernetes.io/token", "", "kubernetes"),
        (".singularity.d/env", "", "apptainer"),
        ("run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
    ],
)
def test_container(put: Put, tmp_path: Path, path: str, content: str, expected: str | None) -> None:
    put("proc/self/cgroup", "0::/\n")
    put(path, content)
    assert linux.container(tmp_path, {}) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1", "kubernetes"),
        ("APPTAINER_CONTAINER", "x.sif", "apptainer"),
        ("container", "lxc", "lxc"),
        ("container", "", None),
    ],
)
def test_container_by_variable(put: Put, name: str, value: str, expected: str | None) -> None:
    assert linux.container(put("proc/self/cgroup", "0::/\n"), {name: value}) == expected


def test_container_unknown(tmp_path: Path) -> None:
    found = linux.container(tmp_path, {})
    assert found == Unknown(f"{tmp_path}/proc/self/cgroup: No such file or directory")
