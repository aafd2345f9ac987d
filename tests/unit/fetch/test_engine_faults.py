"""One mirror fails in the middle; the file comes all the same, soon, and with few bytes twice."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.fetch import engine
from paddle_bootstrap.fetch.block_map import BLOCK, BlockMap
from paddle_bootstrap.fetch.loading import LOADERS
from paddle_bootstrap.fetch.patience import Terms
from paddle_bootstrap.fetch.store import Store
from tests.fakes.mirror import FakeMirror, Fault
from tests.unit.fetch.conftest import HASTE, Bring, Heard
from tests.unit.fetch.pieced import pieced, received

WHEEL, DATA = pieced(size=8 << 20)
NAME = WHEEL.filename
SHARING = replace(HASTE, join=0.0, read=2.0, stall=0.5, floor=1e4)


def faults() -> dict[str, Fault]:
    return {
        "cut": Fault(cut_after=1_500_000),
        "stalls": Fault(stall_after=2_000_000, silent=threading.Event()),
        "stalls once": Fault(stall_after=500_000, silent=threading.Event(), times=1),
        "drips": Fault(drip_after=2_000_000, silent=threading.Event()),
        "says nothing": Fault(silent=threading.Event()),
        "404": Fault(status=404),
        "500": Fault(status=500),
        "403": Fault(status=403),
        "503": Fault(status=503, retry_after="30"),
        "shorter": Fault(body=DATA[:-70_000]),
        "another range": Fault(range_shift=5),
    }


class Relay:
    """A server in front of another one, that can be stopped, one connection after the other, and started on the same port."""

    def __init__(self, port: int) -> None:
        self.behind = port
        self.port = 0
        self.most_after = 0  # connections at once since it was last started
        self.listen()

    def listen(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self.socket.getsockname()[1]
        self.open: list[socket.socket] = []
        self.most_after = 0
        self.serving = threading.Thread(target=self._serve, daemon=True)
        self.serving.start()

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.serving.join()
        self.socket.close()
        for each in self.open:
            time.sleep(0.003)
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.socket.accept()
                far = socket.create_connection(("127.0.0.1", self.behind))
                self.open += [near, far]
                self.most_after = max(self.most_after, len(self.open) // 2)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)


@pytest.mark.parametrize("name", faults())
def test_one_of_two_fails(bring: Bring, name: str) -> None:
    with FakeMirror({NAME: DATA}, rate=1.2e7) as bad, FakeMirror({NAME: DATA}, rate=1.2e7) as fine:
        bad.faults[NAME] = faults()[name]
        began = time.monotonic()
        fetched = bring(WHEEL, bad.url, fine.url, patience=SHARING)
        took = time.monotonic() - began
    assert fetched.files[NAME].read_bytes() == DATA
    assert received(fetched) <= len(DATA) * 1.08
    assert took < 4.0  # two connections of the healthy one alone: 0.4 s


def test_the_first_mirror_is_dead(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, rate=2e7) as fine:
        fetched = bring(WHEEL, "http://127.0.0.1:9/simple", fine.url, patience=replace(SHARING, join=5.0))
    assert fetched.transfers[0].error == "connection refused"
    assert fetched.files[NAME].read_bytes() == DATA
    assert len(DATA) <= fetched.transfers[1].bytes <= len(DATA) * 1.05  # the last bytes may be asked for twice


@pytest.mark.parametrize("name", ["cut", "stalls once"])
def test_the_only_mirror_fails_now_and_then(bring: Bring, name: str) -> None:
    with FakeMirror({NAME: DATA}, rate=1.2e7) as mirror:
        mirror.faults[NAME] = faults()[name]
        fetched = bring(WHEEL, mirror.url, patience=SHARING)
    assert fetched.files[NAME].read_bytes() == DATA
    assert received(fetched) <= len(DATA) * 1.05


def test_the_only_mirror_is_silent_for_a_while_on_every_connection(bring: Bring) -> None:
    """That is one failure, not one of each connection."""
    with FakeMirror({NAME: DATA}, rate=4e6) as mirror:
        asleep = threading.Timer(0.3, mirror.awake.clear)
        awake = threading.Timer(2.3, mirror.awake.set)
        for timer in (asleep, awake):
            timer.start()
        fetched = bring(WHEEL, mirror.url, patience=SHARING)
    assert fetched.files[NAME].read_bytes() == DATA
    assert received(fetched) <= len(DATA) * 1.1


@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_the_only_mirror_is_restarted(bring: Bring, seconds: float) -> None:
    """Connections break and are refused for a while; then all of them are used again."""
    with FakeMirror({NAME: DATA}, rate=1.5e6) as mirror:
        relay = Relay(mirror.port)
        down = threading.Timer(0.4, relay.close)
        up = threading.Timer(0.4 + seconds, relay.listen)
        for timer in (down, up):
            timer.start()
        fetched = bring(WHEEL, f"http://127.0.0.1:{relay.port}/simple", patience=replace(SHARING, pause=0.3, read=9.0))
        relay.close()
    assert fetched.files[NAME].read_bytes() == DATA
    in_the_air = fetched.transfers[0].connections * BLOCK
    assert received(fetched) <= len(DATA) * 1.05 + in_the_air
    assert fetched.transfers[0].connections >= 2
    assert relay.most_after >= 2


@pytest.mark.parametrize("name", ["says nothing", "drips", "404", "500", "403"])
def test_all_mirrors_fail(bring: Bring, name: str) -> None:
    """It ends, names both, and keeps what has arrived."""
    with FakeMirror({NAME: DATA}) as one, FakeMirror({NAME: DATA}) as two:
        one.faults[NAME], two.faults[NAME] = faults()[name], faults()[name]
        for mirror in (one, two):
            mirror.faults[NAME].drip_after = 3_000 if name == "drips" else None
        began = time.monotonic()
        with pytest.raises(NoMirrorServes) as caught:
            bring(WHEEL, one.url, two.url, patience=replace(SHARING, read=0.5, retries=1))
    assert time.monotonic() - began < 8
    assert len(caught.value.tried) == 2


PATIENT = replace(SHARING, read=20.0, stall=10.0, silence=0.2)


def pages_asked_for(mirror: FakeMirror) -> int:
    return sum("/simple/" in path for path in mirror.paths())


def test_a_page_that_does_not_come_is_asked_for_again(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, pages_silent=2) as mirror:
        began = time.monotonic()
        fetched = bring(WHEEL, mirror.url, patience=PATIENT)
        took = time.monotonic() - began
    assert fetched.files[NAME].read_bytes() == DATA
    assert pages_asked_for(mirror) == 3
    assert took < 5.0


def test_a_page_is_asked_for_once(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}) as mirror:
        bring(WHEEL, mirror.url, patience=PATIENT)
    assert pages_asked_for(mirror) == 1


def test_the_second_answer_about_a_page_counts(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, pages_silent=1, hidden={NAME}) as mirror:
        began = time.monotonic()
        with pytest.raises(NoMirrorServes) as caught:
            bring(WHEEL, mirror.url, patience=PATIENT)
    assert time.monotonic() - began < 5.0
    assert "404" in caught.value.tried[0]


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """The port of a server whose queue is full: the kernel answers no one more."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield int(full.getsockname()[1])


def test_a_connection_that_is_not_taken_holds_up_nobody(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "JOIN_SECONDS", 20.0)
    with black_hole() as port, FakeMirror({NAME: DATA}, rate=8e6) as mirror:
        began = time.monotonic()
        bring(WHEEL, mirror.url, f"http://127.0.0.1:{port}/simple", patience=PATIENT)
        took = time.monotonic() - began
    assert took < PATIENT.connect - 1


def test_a_mirror_that_slows_down_costs_the_other_one_few_requests(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, rate=4e5) as slow, FakeMirror({NAME: DATA}, rate=4e5) as fine:
        later = threading.Timer(0.5, setattr, (slow, "rate", 2e4))
        later.start()
        fetched = bring(WHEEL, slow.url, fine.url, patience=replace(SHARING, stall=3.0))
    assert fetched.files[NAME].read_bytes() == DATA
    assert len(fine.served(NAME)) < 60  # 15; 124 when finished work is helped with


def test_more_connections_are_refused_without_a_word(bring: Bring) -> None:
    """The others wait for their first byte meanwhile: the mirror is not given up."""
    with FakeMirror({NAME: DATA}, most=2, too_many=Fault(hang_up=True), delay=0.4, rate=8e5) as mirror:
        fetched = bring(WHEEL, mirror.url, patience=replace(SHARING, stall=2.0, pause=0.5))
    assert fetched.files[NAME].read_bytes() == DATA
    assert received(fetched) <= len(DATA) * 1.05
    assert fetched.transfers[0].errors <= 35  # 18; 65 when nobody learns from them


@pytest.mark.parametrize("second", [False, True])
def test_a_page_that_takes_longer_than_a_connection_may_be_silent(bring: Bring, second: bool) -> None:
    some = [pieced(name, size=1 << 20) for name in ("one", "two", "three")]
    files = {wheel.filename: data for wheel, data in some}
    with FakeMirror(files, page_delay=1.2) as late, FakeMirror(files, rate=2e5) as slow:
        others = [slow.url] if second else []
        fetched = bring(
            [wheel for wheel, _ in some], late.url, *others, patience=replace(SHARING, read=9.0, silence=0.3, hush=0.1)
        )
    brought = {record.mirror for record in fetched.transfers if record.outcome == "fetched" and record.bytes}
    assert any(str(late.port) in mirror for mirror in brought)
    assert len([path for path in late.paths() if "/simple/" in path]) <= 3 * LOADERS


def test_no_more_connections_than_allowed_wait_to_be_taken(bring: Bring) -> None:
    with black_hole() as port, FakeMirror({NAME: DATA}, rate=1e6) as mirror:
        before, most, done = in_syn_sent(port), 0, threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.02):
                most = max(most, in_syn_sent(port))

        watcher = threading.Thread(target=watch)
        watcher.start()
        hasty = replace(SHARING, stall=0.2, read=0.4, silence=0.1, connect=5.0)
        bring(WHEEL, f"http://127.0.0.1:{port}/simple", mirror.url, patience=hasty, terms=Terms(connections=2))
        done.set()
        watcher.join()
    assert most - before <= 2


def in_syn_sent(port: int) -> int:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)


def test_a_wheel_that_a_killed_run_has_unpacked_gets_its_name(bring: Bring, store: Store) -> None:
    with FakeMirror({NAME: DATA}) as mirror:
        wheel = bring(WHEEL, mirror.url, unpack=True).files[NAME]
    states = BlockMap(store.map_of(WHEEL), len(DATA))
    for block in range(states.count):
        states.record_written(block)
    states.close()
    wheel.rename(store.partial(WHEEL))
    assert store.unpacked(WHEEL)
    assert bring(WHEEL, "http://127.0.0.1:9/simple", unpack=True).files[NAME].read_bytes() == DATA
    assert not store.partial(WHEEL).exists()
    assert not store.map_of(WHEEL).exists()


def test_retry_after_is_obeyed(bring: Bring) -> None:
    small, data = pieced("small", size=1000)
    with FakeMirror({small.filename: data}) as mirror:
        mirror.faults[small.filename] = Fault(status=503, retry_after="1", times=1)
        began = time.monotonic()
        bring(small, mirror.url)
    assert time.monotonic() - began >= 1.0


def test_nothing_is_left_open(bring: Bring) -> None:
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    with FakeMirror({NAME: DATA}) as mirror:
        for _ in range(3):
            bring(WHEEL, mirror.url).files[NAME].unlink()
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_a_lock_without_a_size_and_a_mirror_that_does_not_tell_it(bring: Bring, heard: Heard) -> None:
    with FakeMirror({NAME: DATA}, chunked=True) as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(replace(WHEEL, size=None, pieces=()), mirror.url)
    assert "does not tell the file's size" in caught.value.tried[0]
