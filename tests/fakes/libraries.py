"""Builds the fake driver libraries with the C compiler, once for each change of their source."""

from __future__ import annotations

import functools
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


def fake_nvml(*, without: str = "", driver: str | None = None) -> Path:
    """A libnvidia-ml.so.1 that answers from FAKE_NVML_CONF; see nvml/config.c.

    It has not the functions that came after ``driver`` (nvml/versions.tsv), nor those that match ``without``: they are
    local to it, so that nobody finds them, as in an old driver's library.
    """
    hidden = _newer_than(driver) | {name for name in _asked_for() if without and re.fullmatch(without, name)}
    shown = sorted(_asked_for() - hidden | {"nvmlErrorString", "nvmlInit_v2"})
    script = f"{{ global: {'; '.join(shown)}; local: *; }};\n"
    return _built(sorted((HERE / "nvml").glob("*.[ch]")), "libnvidia-ml.so.1", more=_stubs(), script=script)


def fake_cuda() -> Path:
    """A libcuda.so.1 that answers from FAKE_CUDA_* and computes in the host's memory; see cuda/fake_cuda.c and config.c."""
    return _built(sorted((HERE / "cuda").glob("*.[ch]")), "libcuda.so.1")


def not_installed(soname: str) -> Path:
    """A library that no loader opens, and that hides what this very host has under the same name."""
    source = "extern int not_installed_on_this_fake_host; int *needed = &not_installed_on_this_fake_host;\n"
    return _built([], soname, more=source)


def _newer_than(driver: str | None) -> set[str]:
    """The functions that this driver did not have yet. Without a driver there is nothing to hide."""
    table = (HERE / "nvml" / "versions.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in table if not line.startswith("#")]
    return {name for name, since, _ in rows if driver and int(driver.split(".")[0]) < int(since)}


@functools.cache
def _asked_for() -> frozenset[str]:
    """Every function that pynvml may ask for."""
    spec = importlib.util.find_spec("pynvml")
    assert spec is not None
    assert spec.origin is not None
    asked = re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', Path(spec.origin).read_text(encoding="utf-8"))
    return frozenset(asked) - {"nvmlErrorString"}


def _stubs() -> str:
    """What of that the fake does not have, so that a reader of everything does not trip over it."""
    return '#include "fake_nvml.h"\n' + "".join(STUB.format(name=name) for name in sorted(_asked_for()))


def _built(sources: list[Path], soname: str, more: str = "", script: str = "") -> Path:
    """Runs the compiler unless the very same source was built before; several test processes may do so at once."""
    content = b"".join(source.read_bytes() for source in sources) + f"{more}{soname}{script}".encode()
    folder = CACHE / hashlib.sha256(content).hexdigest()[:16]
    if (folder / soname).exists():
        return folder / soname
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        stubs, versions, made = Path(scratch) / "stubs.c", Path(scratch) / "versions", Path(scratch) / soname
        stubs.write_text(more, encoding="utf-8")
        versions.write_text(script, encoding="utf-8")
        units = [str(source) for source in sources if source.suffix == ".c"] + ([str(stubs)] if more else [])
        command = ["cc", *FLAGS, f"-I{HERE / 'nvml'}", f"-Wl,-soname,{soname}", "-o", str(made), *units, "-lm"]
        command += [f"-Wl,--version-script={versions}"] if script else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
        made.replace(folder / soname)
    return folder / soname
