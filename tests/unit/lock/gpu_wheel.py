"""A small wheel that is named as a GPU build of Paddle, with METADATA that pins NVIDIA's wheels as the real ones do."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping, Sequence

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PINS = ('nvidia-nvtx-cu12==12.6.77; platform_system == "Linux"', "numpy>=1.21")
CPU_PADDLE = """
__version__ = "3.3.1"

def is_compiled_with_cuda():
    return False

class version:
    cuda = staticmethod(lambda: "False")
    cudnn = staticmethod(lambda: "False")
"""


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
    files: Mapping[str, str] | None = None,
) -> bytes:
    """``says``: another version in METADATA than in the file's name."""
    own = files or {"paddle/__init__.py": CPU_PADDLE}
    return wheel(package, version, {**own, f"{package.replace('-', '_')}.bin": filling}, says or version, requires)


def wheel(
    package: str, version: str, files: Mapping[str, str | bytes], says: str = "", requires: Sequence[str] = ()
) -> bytes:
    """Any wheel, with a RECORD that tells the truth."""
    info = f"{package.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {says or version}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    content = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n",
    }
    buffer, rows = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            data = text.encode() if isinstance(text, str) else text
            archive.writestr(_entry(name), data, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={digest},{len(data)}\n")
        archive.writestr(_entry(f"{info}/RECORD"), "".join([*rows, f"{info}/RECORD,,\n"]))
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry
