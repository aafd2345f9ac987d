"""What this run was given by whoever started it: variables that GPU programs obey, and a container with its devices."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

from paddle_bootstrap.harness import expect, few
from paddle_bootstrap.harness.devices import visible
from paddle_bootstrap.host.facts import Unknown
from paddle_bootstrap.toml import shipped

DATA = shipped(Path(__file__).with_name("environment.toml"))
VARIABLES, REFUSED = DATA["variable"], DATA["refused"]
SELECTION = "CUDA_VISIBLE_DEVICES"
LIST = "nvidia-smi -L shows what there is"


@pytest.mark.level("quick", priority=2)
@pytest.mark.requires("gpu")
def check_variables(host, warn):
    """No variable changes what GPU programs do."""
    for name, value in host.variables.items():
        row = next((row for row in VARIABLES if fnmatch.fnmatchcase(name, row["name"])), None)
        if row and value and re.search(row.get("value", ""), value):
            warn(f"{name}={value} {row['does']}; {row.get('fix', f'unset {name}')}")
    if host.visible_devices is None or isinstance(host.gpus, Unknown):
        return
    wrong = problems(host.visible_devices, host.gpus)
    expect(
        not wrong,
        f"{SELECTION} names what is not there: {few(wrong)}",
        measured=f"{SELECTION}={host.visible_devices}",
        expected="numbers or UUIDs of " + (few(f"{gpu.index} ({gpu.uuid})" for gpu in host.gpus) or "a GPU"),
        likely="it was written for another host, or a GPU is lost; CUDA uses nothing from the first wrong entry on",
        fix=f"unset {SELECTION}, or correct it: {LIST}",
    )
    left = visible(host.gpus, host.visible_devices)
    expect(
        left or not host.gpus,
        f"{SELECTION} hides every GPU of this host",
        measured=f"{SELECTION}={host.visible_devices!r}",
        expected=f"at least one of {len(host.gpus)} GPUs",
        likely="a job without GPUs, or a script that sets it to nothing",
        fix=f"unset {SELECTION}; in a job, ask the scheduler for GPUs (sbatch --gres=gpu:1)",
    )
    hidden = [f"gpu{gpu.index} ({gpu.uuid})" for gpu in host.gpus if gpu not in left]
    if hidden:
        warn(
            f"{SELECTION}={host.visible_devices} hides {len(hidden)} of {len(host.gpus)} GPUs: {few(hidden)}; "
            f"to judge all: unset {SELECTION}, leave out --gpus"
        )


def problems(setting, gpus):
    """What is wrong with each entry, in words; an empty setting hides all and names nothing."""
    entries = [part.strip() for part in setting.removesuffix(",").split(",")] if setting.strip() else []
    found, seen = [], []
    for entry in entries:
        chosen = visible(gpus, entry)
        beginning = [gpu for gpu in gpus if entry and isinstance(gpu.uuid, str) and gpu.uuid.startswith(entry)]
        if len(beginning) > 1:
            found.append(f"{entry!r} is the beginning of {len(beginning)} UUIDs: {few(gpu.uuid for gpu in beginning)}")
        elif not chosen:
            found.append(f"{entry!r} is none of {len(gpus)} GPUs")
        elif chosen[0] in seen and not entry.startswith("MIG-"):
            found.append(f"{entry!r} names gpu{chosen[0].index} a second time")
        seen += chosen
    return found


@pytest.mark.level("quick", priority=1)
@pytest.mark.requires("gpu")
def check_container(host):
    """No control group keeps the GPUs from this run."""
    code = host.driver.nvml_code
    inside = isinstance(host.container, str)
    expect(
        str(code) not in REFUSED,
        f"NVML lost its devices inside this {host.container} container"
        if inside
        else "NVML is refused the devices of the driver",
        measured=f"nvmlInit: code {code} ({REFUSED.get(str(code))})",
        expected="0: NVML starts",
        likely="systemctl daemon-reload on the host takes the devices from containers that were started with --gpus"
        if inside
        else "a control group of systemd or of a scheduler does not let /dev/nvidiactl through",
        fix="start the container anew; to keep it: CDI (--device nvidia.com/gpu=all), or name each node: --device /dev/nvidiactl"
        if inside
        else "ls -l /dev/nvidia*; systemctl show --property=DeviceAllow UNIT; try it outside the job",
    )
