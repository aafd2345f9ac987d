"""Who a rank is, by whatever started it."""

from __future__ import annotations

import pytest

from tests.checks import workload

rank = workload.load("rank")
collective = workload.load("collective")

LAUNCHERS = {
    "ours": (
        collective.environ_of(1, 4, 81, {}),
        (1, 4, 1, "127.0.0.1", 81),
    ),
    "Paddle's": (
        {"PADDLE_TRAINER_ID": "9", "PADDLE_TRAINERS_NUM": "16", "PADDLE_LOCAL_RANK": "1"}
        | {"PADDLE_TRAINER_ENDPOINTS": "10.0.0.1:81,10.0.0.2:82"},
        (9, 16, 1, "10.0.0.1", 81),
    ),
    "torchrun": (
        {"RANK": "8", "WORLD_SIZE": "16", "LOCAL_RANK": "0", "MASTER_ADDR": "job-0", "MASTER_PORT": "23456"},
        (8, 16, 0, "job-0", 23456),
    ),
    "Slurm": (
        {
            "SLURM_PROCID": "3",
            "SLURM_STEP_NUM_TASKS": "16",
            "SLURM_LOCALID": "3",
            "SLURM_JOB_ID": "77",
            "SLURM_STEP_ID": "2",
        }
        | {"SLURM_STEP_NODELIST": "gpu[03-05,07],login1"},
        (3, 16, 3, "gpu03", 21234),
    ),
    "Open MPI": (
        {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "1"},
        (2, 4, 0, "a", 1),
    ),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_any_launcher_tells_who_a_rank_is(launcher: str) -> None:
    environ, wanted = LAUNCHERS[launcher]
    who = rank.rank_of(environ)
    assert (who["rank"], who["size"], who["local"], who["host"], who["port"]) == wanted
    told = rank.paddle_environ(who, {"backend": "nccl", "gpus": None})
    assert told["PADDLE_TRAINER_ENDPOINTS"].split(",")[who["rank"]] == told["PADDLE_CURRENT_ENDPOINT"]
    assert told["FLAGS_selected_gpus"] == str(who["local"])


@pytest.mark.parametrize(
    "environ", [{}, {"RANK": "0"}, {"RANK": "0", "WORLD_SIZE": "2"}, {"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}]
)
def test_a_process_that_nobody_placed_says_so(environ: dict[str, str]) -> None:
    with pytest.raises(rank.NoRank, match="set"):
        rank.rank_of(environ)


@pytest.mark.parametrize(
    ("nodes", "first"), [("a1", "a1"), ("a1,b2", "a1"), ("r[1-2]n[03,05]", "r1n03"), ("n[10-12]-ib,m1", "n10-ib")]
)
def test_the_first_of_slurms_nodes(nodes: str, first: str) -> None:
    assert rank.first_host(nodes) == first
