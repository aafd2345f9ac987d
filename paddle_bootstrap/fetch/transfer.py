"""Moving one file from one mirror into a partial file. ``Transfer`` is the seat of the engine; ``download`` the first one."""

from __future__ import annotations

import errno
import hashlib
import http.client
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from paddle_bootstrap import progress
from paddle_bootstrap.errors import InstallFailed, NoSpace
from paddle_bootstrap.fetch.connection import Refused, Session, _told
from paddle_bootstrap.fetch.pages import locate
from paddle_bootstrap.lock.model import Wheel

BLOCK = 1 << 20  # bytes
FRUITLESS = 3  # attempts in a row that bring no byte, before the next mirror is asked
RETRY_LIMIT = 60.0  # seconds of Retry-After that are obeyed


@dataclass(frozen=True)
class TransferRecord:
    """One mirror's part in one file."""

    filename: str
    mirror: str
    bytes: int  # that this mirror sent
    resumed_bytes: int  # that were there before
    seconds: float
    outcome: Literal["served", "wrong", "refused"]
    error: str | None = None


class Transfer(Protocol):
    """Brings ``wheel`` into ``partial`` from the session's mirror and returns its sha256; may continue what is there.

    Raises Refused, with whatever arrived kept for the next mirror.
    """

    def __call__(self, wheel: Wheel, session: Session, build: str | None, partial: Path) -> str: ...


class Hasher:
    """sha256 in its own thread: hashlib releases the GIL, so a large file is hashed while it arrives."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._filled: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        for _ in range(4):
            self._free.put(bytearray(BLOCK))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def buffer(self) -> bytearray:
        """An empty block; waits for the hash when it is behind."""
        return self._free.get()

    def add(self, block: bytearray, count: int) -> None:
        self._filled.put((block, count))

    def hexdigest(self) -> str:
        self._filled.put(None)
        self._thread.join()
        return self._digest.hexdigest()

    def _work(self) -> None:
        while (item := self._filled.get()) is not None:
            block, count = item
            self._digest.update(memoryview(block)[:count])
            self._free.put(block)


def download(wheel: Wheel, session: Session, build: str | None, partial: Path) -> str:
    """One connection, in order, resumed with Range as often as that brings bytes."""
    url = locate(session, wheel, build)
    hasher = Hasher()
    with _opened(partial) as file:
        done = _refill(file, hasher)
        fruitless = 0
        while wheel.size is None or done < wheel.size:
            before = done
            try:
                done = _copied(file, hasher, wheel, session, url, done)
                if wheel.size is None:
                    break
                if done < wheel.size:
                    raise Refused(f"the body ended after {done} of {wheel.size} bytes")
            except Refused as reason:
                done = file.tell()
                fruitless = 0 if done > before else fruitless + 1
                if fruitless >= FRUITLESS or reason.status in (401, 403, 404, 410, 416):
                    raise
                time.sleep(min(reason.retry_after or 0.2 * fruitless, RETRY_LIMIT))
        file.flush()
    return hasher.hexdigest()


def _opened(partial: Path) -> IO[bytes]:
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        return partial.open("r+b" if partial.exists() else "w+b", buffering=0)
    except OSError as error:
        raise InstallFailed(f"the store cannot be written: {partial}: {error.strerror}", hint="give another --store") from error


def _refill(file: IO[bytes], hasher: Hasher) -> int:
    """Hash what an earlier run left; returns its length."""
    while True:
        block = hasher.buffer()
        count = file.readinto(block)  # type: ignore[attr-defined]
        if not count:
            return file.tell()
        hasher.add(block, count)


def _copied(file: IO[bytes], hasher: Hasher, wheel: Wheel, session: Session, url: str, done: int) -> int:
    for block, count in _blocks(hasher, wheel, session, url, done):
        if wheel.size is not None and done + count > wheel.size:
            raise Refused(f"it sends more than the lock's {wheel.size} bytes", status=416)
        _write(file, memoryview(block)[:count])
        done += count
        hasher.add(block, count)
        _report(wheel, done)
    return done


def _write(file: IO[bytes], data: memoryview) -> None:
    try:
        while data:
            data = data[file.write(data) :]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"no room left for {file.name}", hint="free some space or give another --store; the part is kept") from error
        raise InstallFailed(f"the store cannot be written: {file.name}: {error.strerror}") from error


_last_report = 0.0


def _report(wheel: Wheel, done: int) -> None:
    global _last_report  # noqa: PLW0603 one clock for one line on the terminal
    now = time.monotonic()
    if now - _last_report > 0.1 and done != wheel.size:
        _last_report = now
        progress.transfer(wheel.filename, done, wheel.size)


def _blocks(hasher: Hasher, wheel: Wheel, session: Session, url: str, done: int) -> Iterator[tuple[bytearray, int]]:
    source: Any
    if url.startswith("file:"):
        path = Path(url2pathname(urlsplit(url).path))
        try:
            source = path.open("rb", buffering=0)
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}", status=404) from error
        source.seek(done)
    else:
        source = _response(session, url, done)
    try:
        while True:
            block = hasher.buffer()
            count = _filled(source, block)
            if count == 0:
                return
            yield block, count
    except (OSError, http.client.HTTPException) as error:
        session.drop(url)
        raise Refused(_told(error)) from error
    except GeneratorExit:
        session.drop(url)
        raise
    finally:
        source.close()


def _filled(source: Any, block: bytearray) -> int:
    count: int = source.readinto(block) or 0
    return count


def _response(session: Session, url: str, done: int) -> http.client.HTTPResponse:
    response, final = session.get(url, {"Range": f"bytes={done}-"} if done else {})
    if response.status == 200 and done:
        response = _skipped(response, done)
    elif response.status == 206:
        start = response.headers.get("Content-Range", "")
        if not start.startswith(f"bytes {done}-"):
            session.drop(final)
            raise Refused(f"asked for bytes from {done}, it answered {start or 'without Content-Range'}", status=416)
    elif response.status != 200:
        session.drop(final)
        after = response.headers.get("Retry-After", "")
        seconds = float(after) if after.isdigit() else None
        raise Refused(f"HTTP {response.status} for the file", status=response.status, retry_after=seconds)
    return response


def _skipped(response: http.client.HTTPResponse, count: int) -> http.client.HTTPResponse:
    """A mirror without Range sends the whole file again; what is there already is read past."""
    try:
        while count and (part := response.read(min(count, BLOCK))):
            count -= len(part)
    except (OSError, http.client.HTTPException) as error:
        raise Refused(_told(error)) from error
    return response
