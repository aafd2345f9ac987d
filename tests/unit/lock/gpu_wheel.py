"""A small wheel that is named as a GPU build of Paddle, with METADATA that pins NVIDIA's wheels as the real ones do."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Sequence

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PINS = ('nvidia-nvtx-cu12==12.6.77; platform_system == "Linux"', "numpy>=1.21")


def gpu_name(version: str = "3.3.1", python: str = PYTHON, package: str = "paddlepaddle_gpu") -> str:
    tag = "cp" + python.replace(".", "")
    return f"{package}-{version}-{tag}-{tag}-linux_x86_64.whl"


def gpu_wheel(
    version: str = "3.3.1",
    *,
    says: str | None = None,
    requires: Sequence[str] = PINS,
    filling: bytes = b"",
    package: str = "paddlepaddle-gpu",
) -> bytes:
    """``says``: another version in METADATA than in the file's name."""
    info = f"{package.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {says or version}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            ("paddle/__init__.py", f"__version__ = {version!r}\n".encode()),
            ("paddle/filling.bin", filling),
            (f"{info}/METADATA", metadata.encode()),
            (
                f"{info}/WHEEL",
                b"Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: false\nTag: cp39-cp39-linux_x86_64\n",
            ),
            (f"{info}/RECORD", b""),
        ):
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
