"""rank.py with a group that is made up: nothing is computed, and FAKE_RANKS says what goes wrong, in which rank and when.

A test copies it over rank.py, and that beside it as rank_as_it_is.py: reports, plan and ends are the real ones.
FAKE_RANKS: JSON, [{"rank": 2, "step": 1, "turn": 0 or null for every, "does": NAME, "unless": [what prevents it]}, ...]
FAKE_SPEED: bytes per second at which every message travels, by a clock that only the fake moves.
"""

import importlib.util
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("rank_as_it_is", Path(__file__).with_name("rank_as_it_is.py"))
RANK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(RANK)
SCRIPT = json.loads(os.environ.get("FAKE_RANKS", "[]"))
SPEED = float(os.environ.get("FAKE_SPEED", "1e9"))


class Clock:
    """Stands still unless a step moves it."""

    now = 0.0

    def monotonic(self):
        return self.now


CLOCK = RANK.time = Clock()


def faults(rank, step, turn):
    """What this rank does wrong here."""
    for fault in SCRIPT:
        here = (fault["rank"], fault["step"]) == (rank, step) and fault["turn"] in (turn, None)
        if here and not all(name in os.environ for name in fault.get("unless", ["never"])):
            yield fault["does"], fault


def hang():
    time.sleep(600)


class Meeting:
    """Where all ranks wait for each other, as in a collective operation: rank 0 hears of each and then lets all go."""

    def __init__(self, who):
        self.who, self.lines = who, []

    def connect(self):
        place = ("127.0.0.1", self.who["port"])
        if self.who["rank"] == 0:
            with socket.create_server(place) as server:
                self.lines = [server.accept()[0] for _ in range(self.who["size"] - 1)]
        while not self.lines and self.who["rank"]:
            try:
                self.lines = [socket.create_connection(place)]
            except ConnectionRefusedError:  # rank 0 is not there yet
                time.sleep(0.01)

    def wait(self):
        if not self.lines:
            self.connect()
        for act in (self.hear, self.tell) if self.who["rank"] == 0 else (self.tell, self.hear):
            act()

    def tell(self):
        for line in self.lines:
            line.sendall(b".")

    def hear(self):
        for line in self.lines:
            if not line.recv(1):  # whoever should speak is gone
                hang()


class Part:
    """One step of one rank."""

    def __init__(self, number, step, rank, meeting):
        self.number, self.step, self.rank, self.meeting, self.found = number, step, rank, meeting, {}
        self.idle = step.get("alone") and rank != 0

    def prepare(self, turn):
        self.found = dict(faults(self.rank, self.number, turn))
        if "hangs before" in self.found:
            hang()
        CLOCK.now = (
            1e6 * self.number + 1e3 * turn + self.found.get("comes late", {}).get("seconds", 0.0)
        )  # as all ranks'

    def act(self, _turn):
        if self.idle:
            return
        if not self.step.get("alone"):
            self.meeting.wait()
        if "hangs inside" in self.found:
            hang()
        if "dies" in self.found:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "exits" in self.found:
            os._exit(3)
        if "lacks it" in self.found:
            raise NotImplementedError("(Unimplemented) there is no such operation")
        if "raises" in self.found:
            raise RuntimeError("NCCL error 3: internal error")
        slow = self.found.get("is slow", {}).get("times", 1.0)
        CLOCK.now += self.step.get("bytes", 1e6) / SPEED * slow

    def judge(self, _turn):
        if self.idle:
            return {}
        if self.step["do"] == "train":
            value = "0bad" if "differs" in self.found else "900d"
            return {"digest": value, "finite": "is not finite" not in self.found}
        wrong = {"elements": 3, "first": [5, "7", "8"]} if "is wrong" in self.found else None
        return {"wrong": wrong}


class Group:
    """All ranks."""

    def __init__(self, plan, who):
        self.rank, self.steps = who["rank"], plan["steps"]
        self.begun, self.meeting = 0, Meeting(who)
        if any(name == "hangs before" for name, _ in faults(self.rank, "forming", 0)):
            hang()

    def part(self, step):
        self.begun += 1
        return Part(self.begun - 1, step, self.rank, self.meeting)


RANK.main(sys.argv, os.environ, Group)
