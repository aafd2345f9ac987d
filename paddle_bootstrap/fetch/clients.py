"""Which targets were installed from a store: ROOT/targets/DIGEST.json, one small file for each.

Written before the target is touched, so that ``store prune`` knows what an installation needs. Only the store's wheels are
named here; what a target really holds its receipt tells, and whether it is still there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock.model import Wheel
from paddle_bootstrap.replacing import replace_file


@dataclass(frozen=True)
class Client:
    """A target, by the host that installed it: another one may have other disks under the same paths."""

    host: str
    path: str
    lock: str  # its name
    wheels: tuple[str, ...]  # sha256

    @property
    def is_here(self) -> bool:
        """This host can say whether it is still there."""
        return self.host == socket.gethostname()


def record(store: Store, target: Path, lock: str, wheels: Sequence[Wheel]) -> None:
    """Remember that ``target`` takes ``wheels``. A store that cannot be written is somebody else's, who does not count us."""
    if not store.root.is_dir():
        return
    client = Client(socket.gethostname(), str(target), lock, tuple(wheel.sha256 for wheel in wheels))
    path = _place(store, client)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, (json.dumps(asdict(client), indent=2) + "\n").encode())
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise


def read(store: Store) -> tuple[list[Client], list[Path]]:
    """Every recorded target, and what of the records cannot be read: whatever that target uses is not known."""
    found, unread = [], []
    folder = store.root / "targets"
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")  # half-written ones end otherwise
    except FileNotFoundError:
        return [], []
    except OSError:
        return [], [folder]
    for path in paths:
        try:
            found.append(_client(json.loads(path.read_text(encoding="utf-8"))))
        except FileNotFoundError:  # forgotten meanwhile
            continue
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            unread.append(path)
    return found, unread


def _client(told: Any) -> Client:
    client = Client(told["host"], told["path"], told["lock"], tuple(told["wheels"]))
    texts = (client.host, client.path, client.lock, *client.wheels)
    if not isinstance(told["wheels"], list) or not all(isinstance(text, str) for text in texts):
        raise TypeError("no record")
    return client


def forget(store: Store, client: Client) -> None:
    """Its target is gone."""
    _place(store, client).unlink(missing_ok=True)


def _place(store: Store, client: Client) -> Path:
    digest = hashlib.sha256(f"{client.host}:{client.path}".encode()).hexdigest()[:32]
    return store.root / "targets" / f"{digest}.json"
