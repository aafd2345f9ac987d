"""One rank of a group of processes that communicate. collective.py starts it; so can Slurm, torchrun or Kubernetes.

argv: PLAN REPORT     PLAN: a JSON file, {"backend": "gloo" or "nccl", "gpus": [CUDA ordinal of each local rank] or null,
                      "seconds": that all of it may take, "steps": [{"do": ..., "times": N, ...}]}
                      REPORT: the number of an open pipe, or the path of a file that is appended to
reports, one JSON object a line, "rank" in each:
    {"at": "start"}, {"at": "ready"}                    before Paddle is imported, and once the group is formed
    {"arrived": [STEP, TIME], "clock": SECONDS}         before it enters a step for the TIMEth time
    {"ended": [STEP, TIME], "clock": SECONDS, ...}      and after, with what it found: "wrong" or "digest"
    {"finished": true}
    {"raised": TYPE, "message": ...}

A rank that has finished stays until its standard input ends, so that none leaves while another still reads from it.
SIGUSR1 writes its stack to standard error. Standard library and Paddle only, Python 3.8 syntax.
"""

import faulthandler
import functools
import importlib.util
import json
import os
import re
import signal
import sys
import time
import traceback

GRACE = 15  # seconds after the plan's own: whoever started it kills at the deadline itself
PORTS = (
    20000,
    10000,
)  # first and how many, below those that Linux hands out: for launchers that name a job but no port
LAUNCHERS = (  # names of rank, size and local rank; those that are started inside Slurm come before it
    ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "PADDLE_LOCAL_RANK"),  # Paddle's own, and ours
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),  # torchrun, and the training operators of Kubernetes
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    (
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_LOCALID",
    ),  # of srun: sbatch sets SLURM_NTASKS for its script as well
)


class NoRank(Exception):
    """No launcher told this process which rank it is, or where rank 0 listens."""


def rank_of(environ):
    """{"rank", "size", "local", "host", "port"}: who this process is, by the environment of whatever started it.

    ``host`` and ``port`` are where rank 0 listens. Raises NoRank.
    """
    for rank, size, local in LAUNCHERS:
        if rank in environ and size in environ:
            host, port = master_of(environ)
            found = {"rank": int(environ[rank]), "size": int(environ[size]), "host": host, "port": port}
            return dict(found, local=int(environ.get(local, 0)))
    raise NoRank("none of %s is set" % ", ".join(rank for rank, _, _ in LAUNCHERS))


def master_of(environ):
    """Host and port of rank 0."""
    if environ.get("MASTER_ADDR") and environ.get("MASTER_PORT"):
        return environ["MASTER_ADDR"], int(environ["MASTER_PORT"])
    endpoint = environ.get("PADDLE_MASTER") or environ.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")[0]
    if ":" in endpoint:
        host, _, port = endpoint.rpartition(":")
        return host, int(port)
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST")
    if nodes and environ.get("SLURM_JOB_ID", "").isdigit():
        step = environ.get("SLURM_STEP_ID", "0")
        number = int(environ["SLURM_JOB_ID"]) * 16 + (int(step) if step.isdigit() else 0)
        return first_host(nodes), PORTS[0] + number % PORTS[1]
    raise NoRank("neither MASTER_ADDR and MASTER_PORT nor PADDLE_MASTER nor a list of Slurm's nodes is set")


def first_host(nodes):
    """The first of Slurm's short list: ``gpu[03-05,07],login1`` begins with gpu03."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes).group()
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first)


def paddle_environ(who, plan):
    """What paddle.distributed.init_parallel_env reads. Only rank 0's address is ever listened on; the rest are names."""
    gpus = plan.get("gpus")
    return {
        "PADDLE_TRAINER_ID": str(who["rank"]),
        "PADDLE_TRAINERS_NUM": str(who["size"]),
        "PADDLE_TRAINER_ENDPOINTS": ",".join("%s:%d" % (who["host"], who["port"] + n) for n in range(who["size"])),
        "PADDLE_CURRENT_ENDPOINT": "%s:%d" % (who["host"], who["port"] + who["rank"]),
        "PADDLE_MASTER": "%s:%d" % (who["host"], who["port"]),
        "MASTER_ADDR": who["host"],
        "MASTER_PORT": str(who["port"]),
        "PADDLE_DISTRI_BACKEND": plan["backend"],
        "FLAGS_selected_gpus": str(gpus[who["local"]] if gpus else who["local"]),
    }


def connect(plan, who):
    """The group of all ranks, in Paddle."""
    os.environ.update(paddle_environ(who, plan))
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exchanges.py")
    spec = importlib.util.spec_from_file_location("exchanges", beside)
    exchanges = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(exchanges)
    return exchanges.Exchanges(plan, who)


def reporter(place):
    """Writes reports to a pipe's number or a file's path."""
    pipe = int(place) if place.isdigit() else os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.set_inheritable(pipe, False)

    def report(**told):
        os.write(pipe, json.dumps(told).encode() + b"\n")  # one write: lines of ranks that share a file stay whole

    return report


def work(plan, who, report, begin):
    """Every step of the plan, each as often as it says. ``begin``: what forms the group."""
    report(at="start")
    group = begin(plan, who)
    report(at="ready")
    for number, step in enumerate(plan["steps"]):
        part = group.part(step)
        for turn in range(step["times"]):
            part.prepare(turn)
            report(arrived=[number, turn], clock=time.monotonic())
            part.act(turn)
            clock = time.monotonic()
            report(ended=[number, turn], clock=clock, **part.judge(turn))
    report(finished=True)


def main(argv, environ, begin=connect):
    with open(argv[1], encoding="utf-8") as stream:
        plan = json.load(stream)
    report = reporter(argv[2])
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    faulthandler.dump_traceback_later(plan["seconds"] + GRACE, exit=True)
    try:
        who = rank_of(environ)
        work(plan, who, functools.partial(report, rank=who["rank"]), begin)
    except Exception as error:  # noqa: BLE001 it travels as data
        traceback.print_exc()
        report(raised=type(error).__name__, message=str(error))
    sys.stdin.read()
    os._exit(0)  # what Paddle would do at exit takes seconds and is nobody's business


if __name__ == "__main__":
    main(sys.argv, os.environ)
