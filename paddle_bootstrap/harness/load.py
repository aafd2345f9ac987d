"""What a GPU did while it worked: samples of NVML's, summed up beside the number that a load gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

from paddle_bootstrap import toml
from paddle_bootstrap.harness.subject import built_in_checks
from paddle_bootstrap.host.sampling import Sample


@dataclass(frozen=True)
class Load:
    """None: never read. ``reasons``: why clocks were lowered -> share of the samples, 0 to 1."""

    seconds: float
    sm_clock_mhz: float | None  # median
    temperature_c: float | None  # highest
    power_w: float | None  # highest
    reasons: Mapping[str, float]
    pcie_generation: float | None  # highest
    pcie_width: float | None  # lowest
    samples: tuple[Sample, ...]

    def __str__(self) -> str:
        told = [
            f"{self.sm_clock_mhz:.0f} MHz" if self.sm_clock_mhz is not None else "",
            f"{self.temperature_c:g} C" if self.temperature_c is not None else "",
            f"{self.power_w:.0f} W" if self.power_w is not None else "",
            *(f"{name} {share:.0%} of the time" for name, share in self.reasons.items()),
        ]
        return ", ".join(filter(None, told))


@cache
def reasons() -> Mapping[int, str]:
    """Why a GPU may lower its clocks, by NVML's bit; that it idles is no such reason."""
    return {
        row["bit"]: row["name"] for row in toml.shipped(built_in_checks() / "limits.toml")["clock_reasons"]["names"]
    }


def load_of(samples: Sequence[Sample]) -> Load | None:
    """None when nothing could be sampled."""
    if not samples:
        return None
    return Load(
        seconds=round(samples[-1].seconds - samples[0].seconds, 3),
        sm_clock_mhz=_over(samples, "sm_clock_mhz", median),
        temperature_c=_over(samples, "temperature_c", max),
        power_w=_over(samples, "power_w", max),
        reasons=_shares(samples),
        pcie_generation=_over(samples, "pcie_generation", max),
        pcie_width=_over(samples, "pcie_width", min),
        samples=tuple(samples),
    )


def _over(samples: Sequence[Sample], name: str, fold: Callable[[list[float]], float]) -> float | None:
    read = [value for sample in samples if (value := getattr(sample, name)) is not None]
    return fold(read) if read else None


def _shares(samples: Sequence[Sample]) -> dict[str, float]:
    read = [sample.throttle_reasons for sample in samples if sample.throttle_reasons is not None]
    found = {name: sum(bool(bits & bit) for bits in read) / max(len(read), 1) for bit, name in reasons().items()}
    return {name: round(share, 3) for name, share in found.items() if share}
