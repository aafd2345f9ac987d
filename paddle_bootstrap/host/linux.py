"""The system below a root: distribution, processor, memory, container. Each is a value, or ``Unknown`` with the reason."""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.host.rootfs import exists, text

_GROUP_FILES = {  # where a control group keeps its memory limit: version 2, then version 1
    "": "sys/fs/cgroup{group}/memory.max",
    "memory": "sys/fs/cgroup/memory{group}/memory.limit_in_bytes",
}
_TRACE_FILES = {  # a file that a container runtime leaves -> its name
    "run/secrets/kubernetes.io": "kubernetes",
    "var/run/secrets/kubernetes.io": "kubernetes",
    ".dockerenv": "docker",
    "run/.containerenv": "podman",
    ".singularity.d": "apptainer",
}
_TRACE_VARIABLES = {
    "KUBERNETES_SERVICE_HOST": "kubernetes",
    "APPTAINER_CONTAINER": "apptainer",
    "SINGULARITY_CONTAINER": "apptainer",
}
_TRACE_GROUPS = {  # how a part of a control group's path begins -> its name; the more telling first
    "kubepods": "kubernetes",
    "libpod": "podman",
    "docker": "docker",
    "cri-containerd": "containerd",
    "lxc": "lxc",
}
_TRACE_LAYERS = {  # where the layers of a root file system are kept -> its name
    "/lib/docker/": "docker",
    "/containers/storage/": "podman",
    "io.containerd.": "containerd",
}


def hostname(root: Path) -> str:
    """The name of the host; a container that has the host's ``/`` elsewhere is called something else itself."""
    found = "" if root == Path("/") else text(root, "etc/hostname")
    return found.strip() if isinstance(found, str) and found.strip() else platform.node()


def os_name(root: Path) -> str | Unknown:
    """The distribution as it calls itself: "Debian GNU/Linux 12 (bookworm)"."""
    found = text(root, "etc/os-release")
    if isinstance(found, Unknown):
        other = text(root, "usr/lib/os-release")
        if isinstance(other, Unknown):
            return found
        found = other
    match = re.search(r"^PRETTY_NAME=(.+)$", found, re.MULTILINE)
    if not match:
        return Unknown(f"{root / 'etc/os-release'} has no PRETTY_NAME")
    try:
        return " ".join(shlex.split(match[1]))
    except ValueError:  # an unclosed quote
        return match[1].strip("\"' ")


def cpu(root: Path) -> tuple[str | Unknown, tuple[str, ...] | Unknown]:
    """Model name and sorted flags of the first processor."""
    found = text(root, "proc/cpuinfo")
    if isinstance(found, Unknown):
        return found, found
    model = re.search(r"^model name\s*: (.+)$", found, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.+)$", found, re.MULTILINE)
    return (
        model[1].strip() if model else Unknown(f"{root / 'proc/cpuinfo'} has no model name"),
        tuple(sorted(flags[1].split())) if flags else Unknown(f"{root / 'proc/cpuinfo'} has no flags"),
    )


def memory(root: Path) -> int | Unknown:
    """Bytes this process may use: the host's memory, or the lowest limit of its control groups when that is lower."""
    found = text(root, "proc/meminfo")
    if isinstance(found, Unknown):
        return found
    match = re.search(r"^MemTotal:\s+(\d+) kB", found, re.MULTILINE)
    if not match:
        return Unknown(f"{root / 'proc/meminfo'} has no MemTotal")
    return min([int(match[1]) * 1024, *_memory_limits(root)])


def _memory_limits(root: Path) -> Iterator[int]:
    """Limits of the control group and all above it; a container often sees its own group as the topmost."""
    membership = text(root, "proc/self/cgroup")
    lines = membership.splitlines() if isinstance(membership, str) else ["0::/", "0:memory:/"]
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        for controller in set(controllers.split(",")) & set(_GROUP_FILES):
            for above in (Path(group), *Path(group).parents):
                limit = text(root, _GROUP_FILES[controller].format(group="" if above == Path("/") else above))
                if isinstance(limit, str) and limit.strip().isdigit():
                    yield int(limit)


def container(root: Path, environ: Mapping[str, str]) -> str | Unknown | None:
    """The kind of container this is; None when none left a trace; Unknown when the traces cannot be read."""
    found = [kind for name, kind in _TRACE_VARIABLES.items() if environ.get(name)]
    found += [kind for path, kind in _TRACE_FILES.items() if exists(root, path)]
    told = environ.get("container") or text(root, "run/systemd/container")  # what systemd and lxc pass on
    found += [told.strip()] if isinstance(told, str) and told.strip() else []
    if found:
        return found[0]
    groups = [text(root, f"proc/{process}/cgroup") for process in ("1", "self")]
    mounts = text(root, "proc/self/mounts")
    parts = re.split(r"[/\s]", " ".join(trace for trace in groups if isinstance(trace, str)))
    parts = [part for part in parts if not part.endswith(".service")]  # docker.service itself is not in a container
    layers = [line for line in str(mounts).splitlines() if line.split(" ")[1:2] == ["/"]]
    found = [kind for word, kind in _TRACE_GROUPS.items() if any(part.startswith(word) for part in parts)]
    found += [kind for word, kind in _TRACE_LAYERS.items() if any(word in line for line in layers)]
    if found:
        return found[0]
    return groups[1] if isinstance(groups[1], Unknown) else None
