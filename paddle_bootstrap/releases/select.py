"""Which build a host gets, and why it gets no other: a function of the host's facts, the wish and the table alone.

Every build is judged by every rule. One that breaks a rule is out, with the rule and both its sides in words. Those left
are ranked: the newest version first. Of one version, first the builds whose toolkit's own driver, and whose driver by
Paddle's documents, the host has: the higher CUDA before the lower. Then those that it runs below them, which NVIDIA's
minor-version compatibility allows but for PTX: the lower CUDA before the higher, because it misses least.

What is not known never speaks for a build: without known machine code it is out, unless ``--build`` names it. What is not
known of the host's libraries is not held against a build either: the checks look again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.version import Version

from paddle_bootstrap.host.facts import Gpu, HostFacts, Unknown
from paddle_bootstrap.releases.model import Release, releases
from paddle_bootstrap.releases.wanted import Wanted

MACHINE = "x86_64"  # what every build of the table is for


@dataclass(frozen=True)
class Judged:
    """One build on one host. It fits when no rule excludes it."""

    release: Release
    excluded: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    meets: bool = True  # the toolkit's driver, and the one that Paddle's documents ask for

    @property
    def fits(self) -> bool:
        return not self.excluded

    @property
    def rank(self) -> tuple[Version, bool, tuple[int, ...]]:
        """Of those that fit, the greatest is the best."""
        sign = 1 if self.meets else -1
        return Version(self.release.public), self.meets, tuple(sign * part for part in _parts(self.release.cuda or "0"))


def judge_all(facts: HostFacts, wanted: Wanted, table: Sequence[Release] | None = None) -> tuple[Judged, ...]:
    """Every build: those that fit, the best first, then the others in the table's order."""
    judged = [judge(each, facts, wanted) for each in (releases() if table is None else table)]
    fitting = sorted((each for each in judged if each.fits), key=lambda each: each.rank, reverse=True)
    return (*fitting, *(each for each in judged if not each.fits))


def best(judged: Sequence[Judged]) -> Judged | None:
    """The choice; None: every one of ``judged`` says why not."""
    return next((each for each in judged if each.fits), None)


def judge(release: Release, facts: HostFacts, wanted: Wanted) -> Judged:
    """What speaks against ``release`` on this host, and what its user should know."""
    if unasked := tuple(_unasked(release, wanted)):
        return Judged(release, unasked)
    excluded = [*_served(release, wanted), *_python(release, wanted), *_libraries(release, facts)]
    if release.device == "gpu" and release.code is None and wanted.build is None:
        excluded.append(f"its machine code is not known: --build {release.build} takes it all the same")
    if release.device == "cpu" or wanted.anywhere:
        return Judged(release, tuple(excluded), tuple(_cautions(release, wanted)))
    excluded += [*_driver(release, facts), *_code(release, facts, wanted)]
    if excluded:
        return Judged(release, tuple(excluded))
    below = tuple(_below(release, facts))
    return Judged(release, (), (*below, *_guesses(release, facts), *_cautions(release, wanted)), meets=not below)


def blind(facts: HostFacts) -> str | None:
    """Why this host's driver and GPUs cannot decide on a build; None: they can."""
    if isinstance(version := driver(facts), Unknown):
        return f"no driver: {version.reason}"
    if not isinstance(facts.gpus, tuple):
        return f"the driver lists no GPU: {facts.gpus.reason}"
    if not facts.gpus:
        return "the driver lists no GPU"
    unknown = [gpu for gpu in facts.gpus if isinstance(gpu.compute_capability, Unknown)]
    return f"the compute capability of GPU {unknown[0].index} cannot be read" if unknown else None


def driver(facts: HostFacts) -> str | Unknown:
    """The driver's version: the kernel module's, else the library's."""
    return facts.driver.kernel_module or facts.driver.library or facts.driver.kernel_module


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _unasked(release: Release, wanted: Wanted) -> Iterator[str]:
    if release.device != wanted.device:
        yield f"is for the {release.device.upper()}"
    elif not wanted.takes(release):
        yield f"was not asked for: {wanted}"
    elif release.is_prerelease and not wanted.is_exact:
        yield f"is a pre-release: --paddle {release.public} takes it"


def _served(release: Release, wanted: Wanted) -> Iterator[str]:
    if release.served == "nowhere":
        yield f"is served nowhere: {release.note}"
    elif release.served == "find-links":
        yield "is served by a page of links alone, not by an index"
    elif release.libraries == "host" and wanted.build is None:
        yield f"needs a CUDA {release.cuda} that the host brings: --build {release.build} takes it all the same"


def _python(release: Release, wanted: Wanted) -> Iterator[str]:
    if wanted.python is not None and wanted.python not in release.pythons:
        yield f"has no wheel for Python {wanted.python} ({release.pythons[0]}-{release.pythons[-1]})"


def _libraries(release: Release, facts: HostFacts) -> Iterator[str]:
    if facts.machine != MACHINE:
        yield f"is for {MACHINE}, this host is {facts.machine}"
    for what, floor, has in (("glibc", release.glibc, facts.glibc), ("GLIBCXX", release.glibcxx, facts.glibcxx)):
        if floor is not None and isinstance(has, str) and _parts(has) < _parts(floor):
            yield f"needs {what} >= {floor}, this host has {has}"
    if isinstance(facts.cpu_flags, tuple):
        for flag in release.cpu_flags:
            if flag not in facts.cpu_flags:
                yield f"needs the instructions {flag}, which this processor lacks"


def _driver(release: Release, facts: HostFacts) -> Iterator[str]:
    floor, has = release.min_driver or release.toolkit_driver, driver(facts)
    if isinstance(has, Unknown):
        yield "needs an NVIDIA driver, this host shows none"
    elif floor is not None and _parts(has) < _parts(floor):
        yield f"needs driver >= {floor}, this host has {has}"


def _code(release: Release, facts: HostFacts, wanted: Wanted) -> Iterator[str]:
    if not facts.gpus and driver(facts):
        yield "needs a GPU, this host shows none"
    for gpus in _models(facts):
        capability = gpus[0].compute_capability
        if isinstance(capability, Unknown):
            yield f"{_named(gpus)}: its compute capability is not known"
        elif release.code is None or release.code_for(capability) is not None:
            continue
        elif release.complete:
            yield f"holds no machine code for {_dotted(capability)} ({_named(gpus)})"
        elif wanted.build is None:
            yield f"nobody has told of machine code for {_dotted(capability)}: --build {release.build} takes it all the same"


def _below(release: Release, facts: HostFacts) -> Iterator[str]:
    """Drivers that are asked for and that this host's is below: it fits all the same."""
    has = str(driver(facts))
    if release.toolkit_driver is not None and _parts(has) < _parts(release.toolkit_driver):
        yield f"driver {has} is below {release.toolkit_driver}, CUDA {release.cuda}'s own: no PTX is compiled, so no CINN"
    if release.paddle_driver is not None and _parts(has) < _parts(release.paddle_driver):
        yield f"driver {has} is below {release.paddle_driver}, which Paddle's documents ask for"


def _guesses(release: Release, facts: HostFacts) -> Iterator[str]:
    """Machine code that we only conclude is there. The architecture check reads the bytes once they are."""
    for gpus in _models(facts):
        capability = gpus[0].compute_capability
        if not isinstance(capability, tuple) or release.code is None:
            continue
        found = release.code_for(capability)
        if found is None:
            yield f"nobody has told of machine code for {_dotted(capability)}: its bytes are checked once they are here"
        elif found.mark == "inferred":
            yield f"machine code for {_dotted(found.capability)} is inferred, from {found.source}; its bytes are checked"


def _cautions(release: Release, wanted: Wanted) -> Iterator[str]:
    """What ``--build`` has overridden."""
    if release.device == "gpu" and release.code is None:
        yield "nobody has told its machine code: its bytes are checked once they are here"
    if release.libraries == "host" and wanted.build is not None:
        yield f"it needs a CUDA {release.cuda} that the host brings"


def _models(facts: HostFacts) -> list[list[Gpu]]:
    """The GPUs, those of one compute capability together."""
    found: dict[object, list[Gpu]] = {}
    for gpu in facts.gpus if isinstance(facts.gpus, tuple) else ():
        key = gpu.compute_capability
        found.setdefault(key if isinstance(key, tuple) else None, []).append(gpu)
    return list(found.values())


def _named(gpus: Sequence[Gpu]) -> str:
    names = dict.fromkeys(gpu.name if isinstance(gpu.name, str) else f"GPU {gpu.index}" for gpu in gpus)
    return ", ".join(names)


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
