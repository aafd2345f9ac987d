"""What a transfer is asked for and what it tells: the seat of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from paddle_bootstrap.fetch.source import Source
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel

Outcome = Literal["fetched", "failed", "wrong", "missing", "skipped"]  # skipped: it was not asked any more


@dataclass(frozen=True)
class TransferRecord:
    """One mirror's part in one file."""

    filename: str
    mirror: str  # name and address, without secrets
    bytes: int  # that this mirror delivered
    resumed_bytes: int  # that were there before
    seconds: float
    outcome: Outcome
    error: str | None = None  # the mirror's reason
    connections: int = 0  # at once, at most
    errors: int = 0
    wrong_pieces: int = 0


@dataclass(frozen=True)
class Brought:
    """What a transfer did: every mirror's part, and the files that are still missing."""

    records: tuple[TransferRecord, ...]
    missing: tuple[Wheel, ...] = ()


class Transfer(Protocol):
    """Brings wheels from mirrors into the store. Law 1: nothing gets its name before its bytes match the lock."""

    def bring(self, wheels: Sequence[Wheel], sources: Sequence[Source], store: Store) -> Brought: ...
