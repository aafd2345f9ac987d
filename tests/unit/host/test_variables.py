"""Which variables are told, and that no secret is."""

from __future__ import annotations

from paddle_bootstrap.host.variables import HIDDEN, of_interest


def test_what_gpu_programs_obey() -> None:
    found = of_interest(
        {"CUDA_PROFILE": "1", "NCCL_ALGO": "Ring", "LD_PRELOAD": "x.so", "HOME": "/home/me", "PATH": ""}
    )
    assert found == {"CUDA_PROFILE": "1", "LD_PRELOAD": "x.so", "NCCL_ALGO": "Ring"}


def test_secrets_are_hidden() -> None:
    given = {"NVIDIA_API_KEY": "nvapi-1", "CUDA_TOKEN": "t", "NVIDIA_PROXY": "http://me:word@proxy:1/x"}
    assert of_interest(given) == {
        "CUDA_TOKEN": HIDDEN,
        "NVIDIA_API_KEY": HIDDEN,
        "NVIDIA_PROXY": f"http://{HIDDEN}@proxy:1/x",
    }
