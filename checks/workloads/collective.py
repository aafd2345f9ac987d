"""Starts the ranks of a group on this host, watches them, and says what came of it. Standard library only, Python 3.8 syntax.

A hang is told by silence: each rank reports when it enters a step and when it leaves it (see rank.py), and one that says
nothing for ``step_seconds`` ends the whole group. Then it is known who arrived and who did not, and where each stands.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RANK = os.path.join(HERE, "rank.py")
TAIL = 4096  # bytes read of what each rank wrote
KEPT = 8192  # bytes of all of them together
LAST_WORDS = 0.3  # seconds for the others to speak, once a rank is lost
STACK = 0.3  # seconds for hung ranks to write their stacks
LEAVE = 2.0  # seconds for ranks that have finished
OTHERS = ("PADDLE_", "MASTER_", "SLURM_", "OMPI_", "FLAGS_selected_gpus", "RANK", "WORLD_SIZE", "LOCAL_RANK")
FACTORS = {  # bus bandwidth by algorithm bandwidth, for n ranks: nccl-tests, doc/PERFORMANCE.md
    "all_reduce": lambda n: 2.0 * (n - 1) / n,
    "all_gather": lambda n: (n - 1.0) / n,
    "reduce_scatter": lambda n: (n - 1.0) / n,
    "broadcast": lambda _: 1.0,
    "send": lambda _: 1.0,
}


class Rank:
    """One process, its pipe, and what it has told."""

    def __init__(self, number, plan, environ):
        self.number, self.buffer, self.events = number, b"", []
        self.heard = time.monotonic()
        self.pipe, end = os.pipe()
        self.files = {name: tempfile.TemporaryFile() for name in ("stdout", "stderr")}  # noqa: SIM115
        command = [sys.executable, "-I", "-B", "-u", "-X", "faulthandler", RANK, plan, str(end)]
        try:  # in the process group of this process: whoever ends that ends all
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(end,), env=environ, **self.files)
        finally:
            os.close(end)

    def read(self):
        """Take what it says; False when it will say no more."""
        part = os.read(self.pipe, 1 << 16)
        lines = (self.buffer + part).split(b"\n")
        self.buffer = lines.pop()
        self.events += [json.loads(line) for line in lines]
        self.heard = time.monotonic() if part else self.heard
        return bool(part)

    def last(self, name):
        return next((event[name] for event in reversed(self.events) if name in event), None)

    def wrote(self, name):
        stream = self.files[name].fileno()
        return os.pread(stream, TAIL, max(0, os.fstat(stream).st_size - TAIL)).decode("utf-8", "replace").strip()

    def end(self):
        """Kill it if it lives, and give back what it holds."""
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: left behind
            self.process.wait(LEAVE)
        self.process.stdin.close()
        os.close(self.pipe)
        for stream in self.files.values():
            stream.close()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environ_of(number, count, port, settings):
    """This process's environment, with one rank's place in it and no other launcher's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    own = {
        "PADDLE_TRAINER_ID": str(number),
        "PADDLE_TRAINERS_NUM": str(count),
        "PADDLE_LOCAL_RANK": str(number),
        "PADDLE_MASTER": "127.0.0.1:%d" % port,
    }
    return dict(kept, **dict({"NCCL_DEBUG": "INFO"}, **settings), **own)


def together(
    steps, backend="gloo", ranks=2, gpus=None, start_seconds=60.0, step_seconds=60.0, seconds=600.0, settings=None
):
    """Run ``steps`` in ``ranks`` processes, or in one for each of ``gpus`` (CUDA ordinals).

    {"outcome": "done", "steps": [...]}, one for each step that was asked for: see ``told_of``; or else
    {"outcome": "hung" | "died" | "raised", "step": its number or None for the forming of the group, "arrived", "missing",
    "ended": [ranks], "stuck": {rank: where its code stands}, "seconds": of silence, "rank", "how", "steps": those that all
    ended}
    """
    count = len(gpus) if gpus else ranks
    plan = {"backend": backend, "gpus": gpus, "seconds": seconds, "steps": steps}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(plan, file)
        file.flush()
        port, group = free_port(), []
        try:
            for number in range(count):
                group.append(Rank(number, file.name, environ_of(number, count, port, settings or {})))
            told = watch(group, steps, start_seconds, step_seconds, time.monotonic() + seconds)
            if told["outcome"] != "done":
                leave_evidence(group)
            return dict(told, steps=told_of(group, steps))
        finally:
            for rank in group:
                rank.end()


def watch(group, steps, start_seconds, step_seconds, ends):
    """Listen until all have finished, one is lost, or one is silent for too long."""
    with selectors.DefaultSelector() as selector:
        for rank in group:
            selector.register(rank.pipe, selectors.EVENT_READ, rank)
        while not all(rank.last("finished") for rank in group):
            now = time.monotonic()
            silent = min(rank.heard + (step_seconds if ready(rank) else start_seconds) for rank in unfinished(group))
            if now >= min(silent, ends):
                return dict(hung(group, steps), seconds=step_seconds if all(map(ready, group)) else start_seconds)
            lost = listen(selector, min(silent, ends) - now)
            if lost:
                until = time.monotonic() + LAST_WORDS
                while selector.get_map() and time.monotonic() < until:
                    listen(selector, until - time.monotonic())
                return fallen(lost, group, steps)
    leave(group)
    return {"outcome": "done"}


def listen(selector, seconds):
    """Read whatever comes; the first rank that is lost: it raised, or its pipe ended."""
    lost = None
    for key, _ in selector.select(max(0.0, min(seconds, 1.0))):
        more = key.data.read()
        if not more:
            selector.unregister(key.fileobj)
        if (not more and not key.data.last("finished")) or key.data.last("raised"):
            lost = lost or key.data
    return lost


def ready(rank):
    return any(event.get("at") == "ready" for event in rank.events)


def unfinished(group):
    return [rank for rank in group if not rank.last("finished")]


def leave(group):
    """All have finished: let them go."""
    for rank in group:
        rank.process.stdin.close()
    until = time.monotonic() + LEAVE
    for rank in group:
        with contextlib.suppress(subprocess.TimeoutExpired):
            rank.process.wait(max(0.0, until - time.monotonic()))


def standing(group, steps):
    """The first turn of a step that not all have left, and who entered it and who left it."""
    if not all(ready(rank) for rank in group):
        here = [rank.number for rank in group if ready(rank)]
        missing = [rank.number for rank in group if not ready(rank)]
        return {"step": None, "arrived": here, "missing": missing, "ended": here}
    first = min(turn_of(rank, steps) for rank in unfinished(group))
    arrived = [rank.number for rank in group if (rank.last("arrived") or [-1, 0]) >= first]
    return {
        "step": first[0],
        "arrived": arrived,
        "missing": [rank.number for rank in group if rank.number not in arrived],
        "ended": [rank.number for rank in group if (rank.last("ended") or [-1, 0]) >= first],
    }


def turn_of(rank, steps):
    """The turn that this rank is in, or the one that it comes to next."""
    arrived, ended = rank.last("arrived"), rank.last("ended")
    if arrived is None or arrived != ended:
        return arrived or [0, 0]
    step, turn = ended
    return [step, turn + 1] if turn + 1 < steps[step]["times"] else [min(step + 1, len(steps) - 1), 0]


def hung(group, steps):
    """Who is where: the stack of each says it too."""
    for rank in group:
        if rank.process.poll() is None:
            rank.process.send_signal(signal.SIGUSR1)
    time.sleep(STACK)
    stuck = {
        str(rank.number): place for rank in unfinished(group) for place in [innermost(rank.wrote("stderr"))] if place
    }
    return dict(standing(group, steps), outcome="hung", stuck=stuck)


def innermost(stack):
    """``all_reduce, line 21 of all_reduce.py``, by the last stack that faulthandler wrote."""
    lines = stack[stack.rfind("Current thread") :].splitlines()[1:] if "Current thread" in stack else []
    first = lines[0].strip() if lines else ""
    if not first.startswith("File "):
        return None
    path, _, rest = first[len('File "') :].partition('"')
    line, _, name = rest.replace(", line ", "").partition(" in ")
    return "%s, line %s of %s" % (name, line, os.path.basename(path))


def fallen(lost, group, steps):
    """A rank died or raised. The one that failed first counts: the others fail because it is gone."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        lost.process.wait(0.0 if lost.last("raised") else LEAVE)
    died = [rank for rank in group if (rank.process.poll() or 0) != 0]
    first = died[0] if died else lost  # a death is a cause, an exception may be its consequence
    told = dict(standing(group, steps), rank=first.number)
    if first.last("raised"):
        how = "%s: %s" % (first.last("raised"), last_line(first.last("message")))
        return dict(told, outcome="raised", how=how)
    return dict(told, outcome="died", how=ending(first.process.poll()))


def last_line(text):
    return (text.strip().splitlines() or [""])[-1].strip()


def ending(code):
    if code is not None and code < 0:
        try:
            return "signal %s" % signal.Signals(-code).name
        except ValueError:
            return "signal %d" % -code
    return "exit code %s" % code


def leave_evidence(group):
    """What each rank wrote last becomes what this process wrote: whoever judges keeps that."""
    for rank in group:
        for name in rank.files:
            text = rank.wrote(name)
            if text:
                sys.stderr.write("rank %d, %s:\n%s\n" % (rank.number, name, text[-KEPT // 2 // len(group) :]))


def told_of(group, steps):
    """What is known of each step that all ranks ended.

    {"do", "bytes", "seconds": median over the turns, "bandwidth": bytes/s on the bus, "late": [of each rank: median
    seconds after the first], "wrong": [{"rank", "turn", "elements", "first": [element, got, wanted]}]}; of a training
    "digests" and "finite", [[of each rank that trained], ...] for each turn; of a "send" "pairs", [{"ranks", "bandwidth"}].

    A turn lasts from the last rank's arrival to the last one's end, by the clock that all processes of a host share: a rank
    that comes late makes no link slow. The first turn sets connections up, and counts only where there is no other.
    """
    every = [[turns_of(rank, number) for rank in group] for number in range(len(steps))]
    done = [all(len(turns) == step["times"] for turns in ranks) for step, ranks in zip(steps, every)]  # noqa: B905
    return [one_step(step, ranks) for step, ranks, all_ended in zip(steps, every, done) if all_ended]  # noqa: B905


def turns_of(rank, number):
    """[(arrived, ended, what it found)] of one rank in one step."""
    arrived = [event["clock"] for event in rank.events if event.get("arrived", [None])[0] == number]
    ended = [event for event in rank.events if event.get("ended", [None])[0] == number]
    return [(came, event["clock"], event) for came, event in zip(arrived, ended)]  # noqa: B905


def one_step(step, ranks):
    turns = list(zip(*ranks))  # noqa: B905
    timed = turns[1:] or turns
    seconds = median([max(end for _, end, _ in turn) - max(came for came, _, _ in turn) for turn in timed])
    told = dict(step, seconds=seconds)
    told["late"] = [
        median([turn[n][0] - min(came for came, _, _ in turn) for turn in timed]) for n in range(len(ranks))
    ]
    found = [(n, number, turn[n][2].get("wrong")) for number, turn in enumerate(turns) for n in range(len(turn))]
    told["wrong"] = [dict(wrong, rank=n, turn=number) for n, number, wrong in found if wrong]
    if step["do"] == "train":
        found = [[event for _, _, event in turn if "digest" in event] for turn in turns]
        told["digests"] = [[event["digest"] for event in turn] for turn in found]
        told["finite"] = [[event["finite"] for event in turn] for turn in found]
    elif step["do"] == "send":
        told["pairs"] = [pair_of(step, pair, timed) for pair in step["pairs"]]
    else:
        told["bandwidth"] = bandwidth(step["do"], step["bytes"], len(ranks), seconds)
    return told


def pair_of(step, pair, turns):
    """The bandwidth from the first rank of a pair to the second, in bytes/s."""
    seconds = [max(turn[n][1] for n in pair) - max(turn[n][0] for n in pair) for turn in turns]
    return {"ranks": pair, "bandwidth": bandwidth("send", step["bytes"], 2, median(seconds))}


def bandwidth(do, size, ranks, seconds):
    """Bytes/s on the bus: the number that can be held against a link's, whatever the count of ranks."""
    return size / max(seconds, 1e-9) * FACTORS[do](ranks)


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
