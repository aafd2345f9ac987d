"""Which build this run is about: the one whose lock is named, the project's, or the one that fits this host best.

``auto`` depends on the host's facts and on releases.toml alone, so equal hosts get equal builds. What a first run has
chosen is kept as the project's lock, and later runs obey it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import NoBuildFits, NoMirrorServes, UsageError
from paddle_bootstrap.harness.devices import visible
from paddle_bootstrap.host import pythons
from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.install import receipt
from paddle_bootstrap.install.target import own_python
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.choose import build_of, choose, require_asked, require_first_use_allowed
from paddle_bootstrap.lock.model import Build, Lock
from paddle_bootstrap.releases.model import Release, releases
from paddle_bootstrap.releases.select import Judged, best, blind, judge_all
from paddle_bootstrap.releases.wanted import AUTO, Wanted
from paddle_bootstrap.stages import serving
from paddle_bootstrap.stages.facts import read_facts
from paddle_bootstrap.stages.interpreters import choose_python
from paddle_bootstrap.stages.wish import Wish

PROJECT_LOCK = "pylock.paddle.toml"  # beside the project's settings
Facts = Callable[[], HostFacts]


@dataclass(frozen=True)
class Choice:
    """A build, and why it is this one. ``lock`` is None where it is still to be composed."""

    why: str
    lock: Lock | None
    release: Release | None = None
    warnings: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()  # every build of the table, if it was chosen from there
    is_free: bool = False  # the host decided, and the next run shall not decide anew

    @property
    def name(self) -> str:
        return self.lock.name if self.lock else self.build.id if self.build else "?"

    @property
    def build(self) -> Build | None:
        """What is known of the build before there is a lock."""
        if self.lock is not None or self.release is None:
            return self.lock.build if self.lock else None
        return build_of(self.release)

    @property
    def older(self) -> tuple[Release, ...]:
        """The other builds that fit, the best first."""
        return tuple(each.release for each in self.judged if each.fits and each.release != self.release)


def choose_build(wish: Wish, facts: Facts) -> Choice:
    """Raises NoBuildFits with every build's reason, UsageError for wishes that contradict each other."""
    wanted = _wanted(wish)
    if wish.lock is not None:
        return Choice("named", choose(wish.lock, wish.paddle, wish.device, wish.build))
    return _of_project(wish, wanted) or _of_target(wish) or _of_table(wish, wanted, meant(wish, facts()))


def survey(wish: Wish, facts: HostFacts) -> tuple[HostFacts, tuple[Judged, ...]]:
    """The host with the GPUs that are meant, and every build on it: those that fit, the best first."""
    here = meant(wish, facts)
    return here, judge_all(here, _wanted(wish))


def standing_lock(wish: Wish) -> Lock:
    """The lock that is there without asking the host: named, the project's, or a shipped one."""
    if wish.lock is None and (kept := _of_project(wish, _wanted(wish))) and kept.lock:
        return kept.lock
    return choose(wish.lock, wish.paddle, wish.device, wish.build)


def release_for(wish: Wish) -> Release:
    """The build that a lock shall be composed for: the one that is named or, of several, the one that fits this host best.

    Raises NoBuildFits, UsageError where the host cannot decide.
    """
    wanted = _wanted(wish)
    named = [
        each
        for each in releases()
        if each.device == wanted.device and wanted.takes(each) and (wanted.is_exact or not each.is_prerelease)
    ]
    if not named:
        raise NoBuildFits(
            f"there is no build for {wanted}", tried=_known(wanted), hint="see all: paddle-bootstrap plan --all"
        )
    if len(named) == 1:
        return named[0]
    here, judged = survey(wish, read_facts(wish))
    if chosen := best(judged):
        return chosen.release
    if wanted.build or wanted.device == "cpu":  # for another host: the newest
        return named[0]
    told = blind(here) or "none of them fits this host"
    raise UsageError(
        f"several builds are meant by {wanted}, and this host cannot decide: {told}",
        tried=[each.id for each in named[:8]],
        hint=f"name one: paddle-bootstrap lock --paddle {named[0].public} --build {named[0].build}",
    )


def python_of(wish: Wish, release: Release) -> str:
    """The Python that a composed lock is for: the one that is named, the target's, else the best that is there."""
    return _python(wish) or choose_python(wish, release.pythons).minor


def lock_for(wish: Wish, choice: Choice) -> Lock:
    """The choice's lock, composed where there is none yet. Raises NoMirrorServes naming what is served instead."""
    if choice.lock is not None:
        return require_first_use_allowed(choice.lock, refused=wish.require_shipped)
    assert choice.release is not None
    python = python_of(wish, choice.release)
    try:
        return require_first_use_allowed(_composed(wish, choice.release, python), refused=wish.require_shipped)
    except NoMirrorServes as error:
        raise told_what_is_served(wish, choice, python, error) from error


def _composed(wish: Wish, release: Release, python: str) -> Lock:
    if wish.offline:
        raise NoMirrorServes(
            f"{release.id} has no lock yet, and composing one asks Paddle's hosts: not with --offline",
            hint="compose it where there is a network, and take the lock or a bundle along: --lock FILE",
        )
    from paddle_bootstrap.stages import locking  # composing is rare, and what it needs is slow to import

    return pylock.read(locking.lock_of(wish, release, python))


def told_what_is_served(wish: Wish, choice: Choice | None, python: str, error: NoMirrorServes) -> NoMirrorServes:
    """``error`` with the newest fitting build that a mirror has, and how to take it."""
    found = serving.first(wish, choice.older, python) if choice and not wish.allow_older else None
    if found is None:
        return error
    there = "its lock is shipped" if wish.offline else "is served"
    return NoMirrorServes(
        str(error), tried=error.tried, hint=f"{found.id} fits this host too and {there}: give --allow-older"
    )


def keep(wish: Wish, choice: Choice | None) -> None:
    """Write down what the host decided, so that the next run does the same. A composed lock is there already."""
    path = wish.cwd / PROJECT_LOCK
    if choice is None or choice.lock is None or not choice.is_free or path.exists():
        return
    try:
        path.write_bytes(choice.lock.path.read_bytes())
    except OSError as error:
        progress.warn(f"the choice is not kept: {path}: {error.strerror}; the next run chooses again")


def meant(wish: Wish, facts: HostFacts) -> HostFacts:
    """The host with the GPUs that this run is about. Raises UsageError for a ``--gpus`` that names another."""
    if not isinstance(facts.gpus, tuple):
        return facts
    found = visible(facts.gpus, facts.visible_devices)
    if wish.gpus is not None and len(found) != len(wish.gpus.split(",")):
        ends = len(found)  # as CUDA reads it, the first that means no GPU or several ends the list
        entry = wish.gpus.split(",")[ends]
        alike = [gpu for gpu in facts.gpus if entry.startswith("GPU-") and str(gpu.uuid).startswith(entry)]
        raise UsageError(
            f"--gpus {wish.gpus}: "
            + (f"{entry} begins {len(alike)} UUIDs" if len(alike) > 1 else "this host has no such GPU"),
            tried=[f"{gpu.index}: {gpu.name}, {gpu.uuid}" for gpu in facts.gpus] or ["it lists none"],
            hint="name them by number or UUID, separated by commas, each once",
        )
    return replace(facts, gpus=found)


def _wanted(wish: Wish) -> Wanted:
    return Wanted(wish.paddle or AUTO, wish.build, wish.device or "gpu", _python(wish))


def _python(wish: Wish) -> str | None:
    """The Python version that is not ours to choose: one that is named, or an existing target's."""
    if wish.python is not None:
        version = pythons.at(wish.python).version if os.sep in wish.python else pythons.version_of(wish.python)
        return ".".join(version.split(".")[:2]) if "." in version else None
    if not (wish.env / "bin" / "python").exists():
        return None
    return own_python(wish.env).minor


def _of_project(wish: Wish, wanted: Wanted) -> Choice | None:
    """The project's lock, unless this is a rehearsal on another device."""
    path = wish.cwd / PROJECT_LOCK
    if not path.is_file():
        return None
    lock = pylock.read(_shipped_twin(path) or path)
    if lock.build is not None and wish.device not in (None, lock.build.device):
        return None
    if wish.extra and sorted(wish.extra) != sorted(lock.extra):
        raise UsageError(
            f"{path} holds {', '.join(lock.extra) or 'nothing'} beside Paddle, the settings ask for {', '.join(wish.extra)}",
            hint="compose it anew: paddle-bootstrap lock --upgrade",
        )
    upgrade = f"to move on: paddle-bootstrap lock --upgrade {wanted}"
    require_asked(lock, str(path), wish.paddle, wish.device, wish.build, hint=upgrade)
    return Choice(f"of this project: {path}", lock)


def _of_target(wish: Wish) -> Choice | None:
    """What the target holds, where nothing else is asked for. A rehearsal's target is no reason to rehearse again: the GPU
    is what a host is judged by, unless its device is named; but what is repaired is what is there."""
    asked = (wish.paddle, wish.device, wish.build, wish.allow_older, wish.extra)
    found = None if any(asked) else receipt.read(wish.env)
    if found is None or not (wish.repair or (found.build and found.build.get("device") == "gpu")):
        return None
    path = wish.env / receipt.FOLDER / f"pylock.{found.lock_name}.toml"
    if not path.is_file():
        if wish.repair:
            raise UsageError(
                f"{path} is not there, so nothing tells what {wish.env} should hold",
                hint=f"name its lock ({found.lock_name}): --lock FILE|NAME",
            )
        return None
    return Choice(f"what {wish.env} holds", pylock.read(_shipped_twin(path) or path))


def _shipped_twin(path: Path) -> Path | None:
    """The shipped lock that ``path`` is a copy of: that one has the digests of its pieces beside it."""
    content = path.read_bytes()
    return next((each for each in pylock.shipped() if each.read_bytes() == content), None)


def _of_table(wish: Wish, wanted: Wanted, here: HostFacts) -> Choice:
    unseen = blind(here) if wanted.device == "gpu" else None
    if unseen and wanted.is_open:
        shipped = choose(None, None, "gpu")
        return Choice(f"the GPU lock that is shipped, for there is nothing to choose by ({unseen})", shipped)
    judged = judge_all(here, replace(wanted, anywhere=unseen is not None))
    chosen = _chosen(wish, judged, wanted.python)
    if chosen is None:
        return _as_asked(wanted, judged)
    release = chosen.release
    lock = pylock.read(pylock.find(release.lock)) if release.lock and not wish.extra else None
    untold = (f"its GPUs were not asked: {unseen}",) if unseen else ()
    free = wanted.device == "gpu" and not unseen and not wanted.is_exact
    return Choice(_why(wanted, judged, chosen), lock, release, (*chosen.warnings, *untold), judged, is_free=free)


def _chosen(wish: Wish, judged: tuple[Judged, ...], python: str | None) -> Judged | None:
    if not wish.allow_older:
        return best(judged)
    fitting = [each for each in judged if each.fits]
    served = serving.first(wish, [each.release for each in fitting], python)
    return next((each for each in fitting if each.release == served), best(judged))


def _why(wanted: Wanted, judged: tuple[Judged, ...], chosen: Judged) -> str:
    place = "the newest" if chosen is best(judged) else "the newest that is served of those"
    return f"{place} that fits this host" + ("" if wanted.is_open else f", of {wanted}")


def _as_asked(wanted: Wanted, judged: tuple[Judged, ...]) -> Choice:
    """Nothing fits. One version whose lock is shipped is taken at its word: the checks judge the host by it.

    Raises NoBuildFits.
    """
    asked = [each for each in judged if each.excluded and wanted.device == each.release.device]
    named = [each for each in asked if each.release.lock and wanted.is_exact and wanted.takes(each.release)]
    if named and not wanted.build:
        lock = pylock.read(pylock.find(str(named[0].release.lock)))
        told = tuple(f"it does not fit: {reason}" for reason in named[0].excluded)
        return Choice("as asked for", lock, named[0].release, told, judged)
    if not any(wanted.takes(each.release) for each in asked):
        raise NoBuildFits(
            f"there is no build for {wanted}", tried=_known(wanted), hint="see all: paddle-bootstrap plan --all"
        )
    raise NoBuildFits(
        f"no build fits this host ({wanted})",
        tried=[f"{each.release.id}: {'; '.join(each.excluded)}" for each in asked if wanted.takes(each.release)],
        hint="update the driver, name the GPUs that are meant (--gpus 0,1), or rehearse on the CPU: --device cpu",
    )


def _known(wanted: Wanted) -> list[str]:
    """Every version for the device, with its builds."""
    found: dict[str, list[str]] = {}
    for each in releases():
        if each.device == wanted.device:
            found.setdefault(each.public, []).append(each.build)
    return [f"{version}: {', '.join(builds)}" for version, builds in found.items()]
