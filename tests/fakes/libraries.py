"""Builds the fake driver libraries with the C compiler, once for each change of their source."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".test-cache" / "fakes"
FLAGS = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")
STUB = """
__attribute__((weak)) int {name}(void) {{ trace("{name}"); return NOT_SUPPORTED; }}"""


def fake_nvml(*, without: str = "") -> Path:
    """A libnvidia-ml.so.1 that answers from FAKE_NVML_CONF; see nvml/config.c.

    ``without`` is a pattern of functions it shall not even have, as an old driver's library has not.
    """
    return _built(sorted((HERE / "nvml").glob("*.[ch]")), "libnvidia-ml.so.1", more=_stubs(without))


def fake_cuda() -> Path:
    """A libcuda.so.1 that answers from FAKE_CUDA_* and computes in the host's memory; see cuda/fake_cuda.c and config.c."""
    return _built(sorted((HERE / "cuda").glob("*.[ch]")), "libcuda.so.1")


def not_installed(soname: str) -> Path:
    """A library that no loader opens, and that hides what this very host has under the same name."""
    source = "extern int not_installed_on_this_fake_host; int *needed = &not_installed_on_this_fake_host;\n"
    return _built([], soname, more=source)


def _stubs(without: str) -> str:
    """Whatever pynvml may ask for and the fake does not have, so that a reader of everything does not trip over it."""
    spec = importlib.util.find_spec("pynvml")
    assert spec is not None
    assert spec.origin is not None
    names = set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', Path(spec.origin).read_text(encoding="utf-8")))
    kept = {name for name in names - {"nvmlErrorString"} if not (without and re.fullmatch(without, name))}
    return '#include "fake_nvml.h"\n' + "".join(STUB.format(name=name) for name in sorted(kept))


def _built(sources: list[Path], soname: str, more: str = "") -> Path:
    """Runs the compiler unless the very same source was built before; several test processes may do so at once."""
    content = b"".join(source.read_bytes() for source in sources) + more.encode() + soname.encode()
    folder = CACHE / hashlib.sha256(content).hexdigest()[:16]
    if (folder / soname).exists():
        return folder / soname
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        stubs, made = Path(scratch) / "stubs.c", Path(scratch) / soname
        stubs.write_text(more, encoding="utf-8")
        units = [str(source) for source in sources if source.suffix == ".c"] + ([str(stubs)] if more else [])
        command = ["cc", *FLAGS, f"-I{HERE / 'nvml'}", f"-Wl,-soname,{soname}", "-o", str(made), *units, "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
        made.replace(folder / soname)
    return folder / soname
