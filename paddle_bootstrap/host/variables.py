"""The variables of this run that CUDA, NVML, NCCL and Paddle obey, without the secrets that may be among them."""

from __future__ import annotations

import re
from collections.abc import Mapping

FAMILIES = ("CUDA_", "NCCL_", "NVIDIA_", "NSIGHT_", "FLAGS_", "GLOO_")
NAMES = ("COMPUTE_PROFILE", "OPENCL_PROFILE", "LD_LIBRARY_PATH", "LD_PRELOAD")
HIDDEN = "(hidden)"
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def of_interest(environ: Mapping[str, str]) -> dict[str, str]:
    """By name; a value that may be a secret is hidden, as is a login in an address."""
    found = {name: value for name, value in environ.items() if name.startswith(FAMILIES) or name in NAMES}
    return {
        name: HIDDEN if _SECRET.search(name) else _LOGIN.sub(HIDDEN, value) for name, value in sorted(found.items())
    }
