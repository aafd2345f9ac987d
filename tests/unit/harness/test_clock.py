"""The time of one check: what counts, what does not, and that nothing escapes it."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import pytest

from paddle_bootstrap.harness.clock import GRACE, CheckHung, Clock


def spin(seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def test_it_rings_in_a_check_that_does_not_end() -> None:
    before = time.monotonic()
    with pytest.raises(CheckHung, match=r"did not end in 0\.2 s"), Clock(0.2).running():
        spin()
    assert time.monotonic() - before < 5


def test_it_rings_in_what_waits_for_the_kernel() -> None:
    with pytest.raises(CheckHung), Clock(0.2).running():
        signal.pause()


def test_a_check_that_catches_every_exception_still_ends() -> None:
    def check() -> None:
        while True:
            with suppress(Exception):
                spin()

    with pytest.raises(CheckHung), Clock(0.2).running():
        check()


def test_it_rings_again_for_a_check_that_catches_even_this() -> None:
    def check() -> None:
        with suppress(BaseException):
            spin()
        spin()

    with pytest.raises(CheckHung), Clock(0.1).running():
        check()


def test_nothing_rings_afterwards() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    with Clock(0.2).running():
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is handler


def test_the_time_runs_on_from_setup_to_call() -> None:
    clock = Clock(1.0)
    with clock.running():
        spin(0.4)
    assert clock.left <= 0.6
    with pytest.raises(CheckHung), clock.running():
        spin()


def test_a_teardown_has_time_of_its_own() -> None:
    clock = Clock(0.1)
    with pytest.raises(CheckHung), clock.running():
        spin()
    with clock.running(at_least=GRACE):
        spin(0.3)


def test_time_in_workloads_does_not_count() -> None:
    clock = Clock(0.3)
    with clock.running():
        with clock.paused():
            spin(0.5)
        assert clock.deadline(60) == 60
    assert clock.left > 0.2


def test_a_marked_time_counts_workloads_and_shortens_their_deadlines() -> None:
    clock = Clock(0.5, whole=True)
    with clock.running():
        with clock.paused():
            assert clock.deadline(60) == pytest.approx(0.5, abs=0.1)
            spin(0.3)
        with clock.paused():
            assert clock.deadline(60) == pytest.approx(0.2, abs=0.1)
            assert clock.deadline(0.15) == 0.15


def test_what_a_workload_told_at_the_last_moment_is_heard() -> None:
    clock = Clock(0.2, whole=True)
    with clock.running():
        with clock.paused():
            spin(0.3)
        spin(0.2)  # a failure on its way out


def test_a_loop_of_quick_calls_ends() -> None:
    clock = Clock(0.2, whole=True)

    def check() -> None:
        while True:
            with clock.paused():
                spin(0.01)

    with clock.running():
        with clock.paused():
            spin(0.3)
        assert clock.left == GRACE  # once
    clock.left = 0.2
    before = time.monotonic()
    with pytest.raises(CheckHung), clock.running():
        check()
    assert time.monotonic() - before < 5
