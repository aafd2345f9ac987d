"""Run as a process of its own: asks NVML through pynvml, and prints one JSON object for each thing asked and each answer.

A stuck driver hangs this process and nothing else; what was printed before stays known, and what was asked last is named.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import select
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OLDEST = (13, 580)  # older releases of nvidia-ml-py misread fabric and process structures without an error
LIBRARY = "libnvidia-ml.so.1"
FAILED = object()  # what Sweep.ask returns when there is no answer
CHANNEL = os.dup(1)  # of the answers alone: what a library prints must not get between them


def say(**finding: Any) -> None:
    os.write(CHANNEL, (json.dumps(finding) + "\n").encode())


def bindings_problem() -> str | None:
    """Why the module pynvml cannot be trusted, with the command that mends it; it is not imported for that."""
    pip = f"{shlex.quote(sys.executable)} -m pip"
    oldest = ".".join(map(str, OLDEST))
    install = f"{pip} install --force-reinstall 'nvidia-ml-py>={oldest}'"
    spec = importlib.util.find_spec("pynvml")
    if spec is None:
        return f"the module pynvml is not installed; run: {install}"
    if spec.submodule_search_locations is not None:
        return (
            f"the distribution called pynvml shadows nvidia-ml-py's module with its own package {spec.origin}; "
            f"run: {pip} uninstall -y pynvml && {install}"
        )
    version = bindings_version(Path(str(spec.origin)).parent)
    if version is None:
        return f"the module {spec.origin} is not nvidia-ml-py's; run: {pip} uninstall -y pynvml; {install}"
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        return f"nvidia-ml-py {version} misreads newer drivers, {oldest} or newer is needed; run: {install}"
    return None


def bindings_version(beside: Path) -> str | None:
    """As the folder of its metadata is called; importlib.metadata would be a third of what this process takes to start."""
    for metadata in beside.glob("nvidia_ml_py-*.dist-info"):
        return metadata.name.removesuffix(".dist-info").split("-")[1]
    import importlib.metadata

    try:
        return importlib.metadata.version("nvidia-ml-py")
    except importlib.metadata.PackageNotFoundError:
        return None


def loader_words() -> str:
    """What the dynamic loader says of the library. pynvml loses it, and absent and corrupt are two things."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        return str(error)
    return f"{LIBRARY} can be opened now, though pynvml could not"


def loaded_version() -> str | None:
    """The version in the file name of the loaded library: known even when it refuses to initialise."""
    try:
        maps = Path("/proc/self/maps").read_bytes()
    except OSError:
        return None
    found = re.search(rb"/libnvidia-ml\.so\.(\d+\.\d[\d.]*)$", maps, re.MULTILINE)
    return found[1].decode() if found else None


class Sweep:
    """Asks pynvml one thing at a time; an answer that fails is an answer, and the next thing is asked."""

    def __init__(self, pynvml: Any) -> None:
        self.pynvml = pynvml
        self.failures = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError, UnicodeDecodeError)
        self.without: set[int] = set()  # GPUs that hang whoever opens them

    def ask(
        self,
        fact: str,
        name: str,
        *arguments: Any,
        shape: Callable[[Any], Any] = lambda answer: answer,
        unsupported: Any = FAILED,
        **about: Any,
    ) -> Any:
        """Print what pynvml's function ``name`` answers, in the form ``shape`` gives it; returns it, or FAILED.

        ``unsupported`` is the answer of a GPU that does not support what is asked about, where that is an answer.
        """
        say(asking=name, **about)
        try:
            answer = getattr(self.pynvml, name)(*arguments)
            say(fact=fact, value=shape(answer), **about)
        except self.failures as error:
            code = getattr(error, "value", None)
            if code == self.pynvml.NVML_ERROR_NOT_SUPPORTED and unsupported is not FAILED:
                say(fact=fact, value=unsupported, **about)
                return unsupported
            say(fact=fact, unknown=f"{name}: {self.reason(error, code)}", code=code, **about)
            return FAILED
        return answer

    def reason(self, error: Any, code: int | None) -> str:
        """Why a call failed, with the loader's own words when there is no library."""
        if isinstance(error, UnicodeDecodeError):
            return f"the answer {error.object!r} is not UTF-8"
        if code is None:
            return str(error)
        if code == self.pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return f"NVML code {code}: {loader_words()}"
        try:
            return f"NVML code {code}: {error}"
        except self.failures:  # for a code that pynvml does not know it asks the library, which may fail in turn
            return f"NVML code {code}"

    @staticmethod
    def address(pci: Any) -> str:
        """``0000:3b:00.0``, as the kernel names it on the bus; a GPU is function 0 of its device."""
        return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"

    def facts(self) -> None:
        """Every fact; when NVML refuses to start, the version of its library from the name of its file."""
        if self.ask("init", "nvmlInit") is FAILED:
            version = loaded_version()
            if version:
                say(fact="library", value=version)
            return
        self.ask("library", "nvmlSystemGetDriverVersion")
        self.ask("cuda", "nvmlSystemGetCudaDriverVersion_v2")
        count = self.ask("count", "nvmlDeviceGetCount")
        for index in range(0 if count is FAILED else count):
            self.gpu(index)

    def handle(self, index: int) -> Any:
        return self.ask("handle", "nvmlDeviceGetHandleByIndex", index, shape=lambda _: True, gpu=index)

    def gpu(self, index: int) -> None:
        """The facts of one GPU; none of them when it cannot be had at all."""
        handle = self.handle(index)
        if handle is FAILED:
            return
        self.ask("uuid", "nvmlDeviceGetUUID", handle, gpu=index)
        self.ask("pci_address", "nvmlDeviceGetPciInfo", handle, shape=self.address, gpu=index)
        self.ask("name", "nvmlDeviceGetName", handle, gpu=index)
        self.ask("compute_capability", "nvmlDeviceGetCudaComputeCapability", handle, gpu=index)
        self.ask("memory_bytes", "nvmlDeviceGetMemoryInfo", handle, shape=lambda memory: memory.total, gpu=index)
        self.ask(
            "mig", "nvmlDeviceGetMigMode", handle, shape=lambda modes: bool(modes[0]), unsupported=False, gpu=index
        )


def readings(sweep: Sweep, index: int, names: list[str]) -> None:
    """The readings called ``names`` of one GPU, each as a line; one that fails does not end the others."""
    card = had(sweep, index)
    known = sibling("nvml_readings").READINGS
    for name in names if card else ():
        say(**card.answer(name, known[name]))


def samples(sweep: Sweep, index: int, seconds: float) -> None:
    """A line of what changes under load every so many seconds, until standard input ends."""
    card = had(sweep, index)
    known = sibling("nvml_readings").SAMPLED
    ended = card is None
    while not ended:
        began = time.monotonic()
        told = [card.answer(name, read) for name, read in known.items()]
        wrong = [f"{said['fact']}: {said['unknown']}" for said in told if "unknown" in said and not said["unsupported"]]
        say(sample={said["fact"]: said.get("value") for said in told}, at=began, problem=wrong[0] if wrong else None)
        ended = bool(select.select([0], [], [], max(0.0, began + seconds - time.monotonic()))[0])


def had(sweep: Sweep, index: int) -> Any:
    """One GPU, to be asked; None when it cannot be had, and the reason was said."""
    if sweep.ask("init", "nvmlInit") is FAILED:
        return None
    handle = sweep.handle(index)
    return None if handle is FAILED else sibling("nvml_card").Card(sweep, index, handle, say)


def sibling(name: str) -> Any:
    """The file beside this one: run by its path and isolated, a process has no package to import it from."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> None:
    """Is pynvml to be trusted; if so, the facts of all GPUs, ``read N NAME,NAME M,M`` (M: GPUs that are not opened for what is
    told of others) or ``sample N SECONDS``."""
    os.dup2(2, 1)
    problem = bindings_problem()
    say(fact="bindings", value=problem)
    if problem is None:
        import pynvml

        sweep = Sweep(pynvml)
        match arguments:
            case ["read", index, names, without]:
                sweep.without = {int(other) for other in without.split(",") if other}
                readings(sweep, int(index), names.split(","))
            case ["sample", index, seconds]:
                samples(sweep, int(index), float(seconds))
            case _:
                sweep.facts()
    say(done=True)


if __name__ == "__main__":
    main(sys.argv[1:])
