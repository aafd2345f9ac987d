"""Which lock is meant, where the host has no say in it."""

from __future__ import annotations

from packaging.version import Version

from paddle_bootstrap.errors import FirstUse, NoBuildFits, UsageError
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Build, Device, Lock
from paddle_bootstrap.releases.model import Release
from paddle_bootstrap.releases.wanted import AUTO, Wanted


def choose(wanted: str | None, paddle: str | None, device: Device | None, build: str | None = None) -> Lock:
    """The lock called ``wanted`` (a file, or a shipped lock's name), else the newest shipped one of ``paddle`` (a version,
    a range, auto), ``device`` and ``build``.

    Raises UsageError when a named lock holds something else than what was asked for, and whatever reading it raises.
    """
    if wanted is None:
        return _shipped(Wanted(paddle or AUTO, build, device or "gpu"))
    lock = pylock.read(pylock.find(wanted))
    require_asked(lock, f"--lock {wanted}", paddle, device, build)
    return lock


def require_asked(
    lock: Lock, told: str, paddle: str | None, device: Device | None, build: str | None, *, hint: str = ""
) -> None:
    """Raises UsageError when ``lock`` is another than the flags ask for. ``told``: what names it."""
    if lock.build is None:
        return
    has = lock.build
    if device not in (None, has.device):
        raise UsageError(f"{told} holds a {has.device} build, but --device {device} was asked for", hint=hint)
    if not Wanted(paddle or AUTO).takes_version(has.version):
        raise UsageError(f"{told} holds Paddle {has.version}, but --paddle {paddle} was asked for", hint=hint)
    if build not in (None, *_names(has)):
        raise UsageError(f"{told} holds {has.id}, but --build {build} was asked for", hint=hint)


def require_first_use_allowed(lock: Lock, *, refused: bool) -> Lock:
    """``lock``. Raises FirstUse when it holds digests that only the files' own host vouches for, and these are refused."""
    if refused and lock.first_use:
        raise FirstUse(
            f"--require-shipped: {lock.path} holds digests that are known from first use alone",
            tried=[str(row) for row in lock.first_use],
            hint="take a build whose digests are published or recorded, or compare these with a colleague's and leave "
            "--require-shipped out",
        )
    return lock


def build_of(release: Release) -> Build:
    """What is known of a build while it has no lock: enough to judge a host by."""
    name = release.version.replace(".", "_")
    return Build(
        id=f"{release.device}-{name}-{release.build}" if release.device == "gpu" else f"cpu-{name}",
        package=release.package,
        version=release.version,
        device=release.device,
        cuda=release.cuda,
        cudnn_built=None,
        cudnn_runtime=None,
        min_driver=release.min_driver,
        toolkit_driver=release.toolkit_driver,
        sass=release.sass,
        ptx=(),
        glibc=release.glibc,
        glibcxx=release.glibcxx,
        cpu_flags=release.cpu_flags,
        unpacked_bytes=0,
        libraries=None,
        index_folder=release.index_folder,
    )


def _names(build: Build) -> tuple[str | None, ...]:
    by_cuda = f"cu{build.cuda.replace('.', '')}" if build.cuda else None
    return build.id.rpartition("-")[2], build.index_folder, by_cuda


def _shipped(wanted: Wanted) -> Lock:
    """The newest shipped lock that ``wanted`` takes. Raises NoBuildFits."""
    locks = [pylock.read(path) for path in pylock.shipped()]
    fitting = [
        lock for lock in locks if lock.build and lock.build.device == wanted.device and _takes(wanted, lock.build)
    ]
    if not fitting:
        version = "of any version" if wanted.paddle == AUTO else wanted.paddle
        build = f", build {wanted.build}" if wanted.build else ""
        raise NoBuildFits(
            f"no shipped lock holds Paddle {version} for {wanted.device}{build}",
            tried=[
                f"{each.id}: {each.package} {each.version}, {each.device}" for lock in locks if (each := lock.build)
            ],
            hint="ask for one of these with --paddle and --device, or give a lock of your own with --lock FILE",
        )
    return max(fitting, key=lambda lock: Version(lock.build.version if lock.build else "0"))


def _takes(wanted: Wanted, build: Build) -> bool:
    return wanted.takes_version(build.version) and wanted.build in (None, *_names(build))
