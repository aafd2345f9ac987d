"""pylock.toml -> store: whatever a lock's wheels lack is brought from the mirrors, verified, and named."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_bootstrap import progress
from paddle_bootstrap.errors import BootstrapError, NoMirrorServes, UsageError, WrongBytes
from paddle_bootstrap.fetch.alongside import Compiler
from paddle_bootstrap.fetch.engine import Engine
from paddle_bootstrap.fetch.patience import Patience, Terms
from paddle_bootstrap.fetch.source import Source
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.fetch.transfer import Brought, Transfer, TransferRecord
from paddle_bootstrap.fetch.trust import is_trusted
from paddle_bootstrap.filelock import held
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.mirrors.model import Mirror


@dataclass(frozen=True)
class Fetched:
    """Every wheel asked for, verified and in the store, and how it came there."""

    files: Mapping[str, Path]  # file name -> its place in the store; with ``unpack`` it may be there only unpacked
    transfers: tuple[TransferRecord, ...] = ()


def fetch(
    wheels: Sequence[Wheel],
    *,
    build: str | None,
    mirrors: Sequence[Mirror],
    store: Store,
    transfer: Transfer | None = None,
    patience: Patience | None = None,
    terms: Terms | None = None,
    environ: Mapping[str, str] = os.environ,
    unpack: bool = False,
    compiler: Compiler | None = None,
) -> Fetched:
    """All of ``wheels`` in the store. Wheels that are there already cost nothing: no lock, no network.

    ``build`` is the build's folder on mirrors that keep one per build ("cu118"); without it those are not asked.
    ``unpack``: what has digests of its pieces is unpacked while it arrives, and ``compiler`` told of its modules; what is
    there unpacked is not missing.

    Raises NoMirrorServes or WrongBytes naming every mirror with its reason, NoSpace before anything is downloaded,
    TargetBusy when another run holds the store, InstallFailed when the store cannot be written.
    """
    wanted = {wheel.filename: wheel for wheel in wheels}
    records: tuple[TransferRecord, ...] = ()
    if any(store.lacks(wheel, unpacked=unpack) for wheel in wanted.values()):
        with held(store.lock, f"the store {store.root}"):
            missing = [wheel for wheel in wanted.values() if store.lacks(wheel, unpacked=unpack)]
            usable = [mirror for mirror in (mirror.for_build(build) for mirror in mirrors) if mirror is not None]
            patience, terms = patience or Patience(), terms or Terms()
            _consider_trust(usable, terms)
            sources = [Source(mirror, environ, patience, terms.trusted_hosts) for mirror in usable]
            transfer = transfer or Engine(patience, terms, compiler)
            records = _bring(missing, sources, store, transfer, unpack=unpack)
    return Fetched({name: store.path(wheel.sha256, name) for name, wheel in wanted.items()}, records)


def _bring(
    missing: Sequence[Wheel], sources: Sequence[Source], store: Store, transfer: Transfer, *, unpack: bool
) -> tuple[TransferRecord, ...]:
    store.require_space(missing)
    brought = transfer.bring(missing, sources, store, unpack=unpack)
    if brought.missing:
        raise _explained(brought, len(missing), len(sources))
    return brought.records


def _consider_trust(mirrors: Sequence[Mirror], terms: Terms) -> None:
    """Who cannot be told from an impostor gets no password. Raises UsageError."""
    for host in terms.trusted_hosts:
        progress.warn(f"{host}: its certificate is not checked (--trusted-host); the lock's digests still decide")
    for mirror in mirrors:
        if mirror.login and is_trusted(mirror.url, terms.trusted_hosts):
            raise UsageError(
                f"--trusted-host: the address of {mirror.redacted} holds credentials, which an impostor would get",
                hint="take the credentials out of the address, or name its certificate: SSL_CERT_FILE=FILE",
            )


def _explained(brought: Brought, asked: int, mirrors: int) -> BootstrapError:
    """Wrong bytes outrank silence: somebody who delivers other bytes than the lock's is what the user has to know."""
    names = [wheel.filename for wheel in brought.missing]
    failed = [record for record in brought.records if record.filename in names]
    files: dict[str, list[str]] = {}  # each mirror's reason once, and for which files
    for record in failed:
        files.setdefault(f"{record.mirror}: {record.error}", []).append(record.filename)
    tried = [f"{reason}{_which(some, names)}" for reason, some in files.items()]
    kept = "; what arrived is kept, the next run goes on there" if len(names) < asked else ""
    others = "name another mirror with --mirror NAME or --mirror https://HOST/simple"
    wrong = {record.filename: None for record in failed if record.outcome == "wrong"}
    if wrong:
        culprits = dict.fromkeys(record.mirror for record in failed if record.outcome == "wrong")
        return WrongBytes(
            f"other bytes than the lock's for {_listed(list(wrong))}, from all that delivered: {', '.join(culprits)}",
            hint=f"{others}; if a second one disagrees with the lock too, restore the lock{kept}",
            tried=tried,
        )
    count = f"none of {mirrors} mirrors" if mirrors > 1 else "no mirror"
    return NoMirrorServes(
        f"{count} could serve {_listed(names)}",
        hint=f"check the network and the proxy, or {others}{kept}",
        tried=tried or ("no mirror is configured for this lock",),
    )


def _which(some: Sequence[str], names: Sequence[str]) -> str:
    if len(some) == len(names):
        return ""
    return f" ({some[0]})" if len(some) == 1 else f" ({len(some)} files)"


def _listed(names: Sequence[str]) -> str:
    return (
        names[0] if len(names) == 1 else f"{len(names)} files ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
    )
