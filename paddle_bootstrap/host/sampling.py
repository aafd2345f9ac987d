"""What changes on a GPU while it works: NVML asked again and again, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from paddle_bootstrap.host import nvml

INTERVAL = 0.2  # seconds; NVML itself refreshes clocks and power about ten times a second


@dataclass(frozen=True)
class Sample:
    """``seconds`` since the sampler was started. A value is None where it is not supported or could not be read."""

    seconds: float
    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttle_reasons: int | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    problem: str | None = None  # the first value that should have been there, and why it is not


@dataclass
class Sampler:
    """A process that samples, until it is stopped or this very process ends. It writes to a file: nobody must listen to it."""

    child: subprocess.Popen[bytes]
    file: IO[bytes]
    began: float = field(default_factory=time.monotonic)

    def stop(self) -> tuple[Sample, ...]:
        """What was seen. One that hangs is ended, or left behind, within a second."""
        nvml.ended(self.child)
        nvml.close(self.child)
        with self.file:
            said = os.pread(self.file.fileno(), os.fstat(self.file.fileno()).st_size, 0)
        *lines, _ = said.split(b"\n")  # the last line may be half a line
        told = [json.loads(line) for line in lines if line.startswith(b'{"sample"')]
        return tuple(Sample(round(one["at"] - self.began, 3), **one["sample"], problem=one["problem"]) for one in told)


def start(environ: Mapping[str, str], index: int, interval: float = INTERVAL) -> Sampler:
    """Samples of the GPU with this NVML index, one each ``interval`` seconds."""
    file = tempfile.TemporaryFile(prefix="paddle-bootstrap-samples-")  # noqa: SIM115  # stop() closes it
    child = nvml.begun(environ, "sample", str(index), str(interval), stdin=subprocess.PIPE, stdout=file)
    return Sampler(child, file)
