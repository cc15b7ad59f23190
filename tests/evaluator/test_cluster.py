"""The cluster engine with a real Dask scheduler and real workers: the records of one machine, whatever dies meanwhile."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evaluator.figures import RANDOM, figures
from tests.miniature import Miniature

pytestmark = [
    pytest.mark.usefixtures("bubblewrap"),
    pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="Dask is not installed (extra `cluster`)"),
]
WORKERS = 3
SBATCH = """#!/bin/sh
# stands for Slurm: a copy of the job runs here and now, in the background
cp "$1" "$1.copy"
setsid sh "$1.copy" >/dev/null 2>&1 &
echo "Submitted batch job $!"
"""


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """Measured by the local engine."""
    mini = prepared(tmp_path_factory.mktemp("calm"))
    mini.run("evaluate", "--workers", "1")
    return mini


def prepared(root: Path) -> Miniature:
    mini = Miniature(root)
    benchmarks = mini.read("benchmarks")
    benchmarks["digits-mlp"]["targets"] = {"unstructured": [8]}
    mini.write("benchmarks", benchmarks)
    mini.submit("chance", RANDOM)
    mini.submit("broken", "raise ValueError('mine')")
    return mini


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address, and its workers: processes of their own, which the test may kill; a nanny starts the last
    one again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    scheduler = _start("scheduler", "--host", address, "--no-dashboard", folder=tmp_path)
    workers = [
        _start("worker", address, how, "--nthreads", "1", "--no-dashboard", "--name", str(name), folder=tmp_path)
        for name, how in enumerate(["--no-nanny"] * (WORKERS - 1) + ["--nanny"])
    ]
    yield address, workers
    workers[-1].terminate()  # a nanny takes its worker with it
    workers.pop().wait(30)
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def _start(kind: str, *arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{kind}.log").open("ab") as log:
        command = [sys.executable, "-P", "-m", "distributed.cli.dask_" + kind, *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)


def test_workers_that_are_killed_cost_nothing(tmp_path: Path, calm: Miniature, cluster) -> None:
    """All of them, in the middle: some records are there, others are not. One comes back, and measures what is left."""
    address, _ = cluster
    mini = prepared(tmp_path / "cluster")
    evaluation = subprocess.Popen(mini.command("evaluate", "--engine", "dask", "--scheduler", address), cwd=mini.root)
    deadline = time.monotonic() + 120
    while not mini.records() and time.monotonic() < deadline:
        time.sleep(0.2)
    with importlib.import_module("distributed").Client(address) as client:
        client.wait_for_workers(WORKERS, timeout=60)
        processes = client.run(os.getpid).values()
    assert len(processes) == WORKERS
    for process in processes:
        os.kill(process, signal.SIGKILL)
    assert evaluation.wait(timeout=300) == 0
    assert figures(mini.records()) == figures(calm.records())
    assert len(mini.records()) == len(calm.records())
    assert {record["status"] for record in mini.records()} == {"ok", "method_error"}


def test_workers_of_its_own(tmp_path: Path, calm: Miniature) -> None:
    mini = prepared(tmp_path)
    shown = mini.json("evaluate", "--engine", "dask", "--workers", "2")
    assert shown["measured"]["ok"] == sum(record["status"] == "ok" for record in calm.records())
    assert figures(mini.records()) == figures(calm.records())


def test_jobs_of_slurm(tmp_path: Path, calm: Miniature) -> None:
    """By dask-jobqueue, whose `sbatch` runs the job here."""
    mini = prepared(tmp_path / "checkout")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", '#!/bin/sh\nkill -- "-$1"\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    configuration = tmp_path / "dask"
    configuration.mkdir()
    slurm = {"cores": 1, "memory": "4GB", "interface": "lo", "job-script-prologue": ["export PYTHONSAFEPATH=1"]}
    (configuration / "jobqueue.yaml").write_text(json.dumps({"jobqueue": {"slurm": slurm}}))
    mini.run(
        *("evaluate", "chance", "--engine", "dask", "--scheduler", "slurm", "--workers", "1"),
        PATH=f"{programs}:{os.environ['PATH']}",
        DASK_CONFIG=str(configuration),
    )
    measured = figures(mini.records())
    expected = figures(calm.records())
    assert measured == {key: expected[key] for key in measured}
    assert {key[0] for key in measured} == {"dense", "chance"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"), "no Dask scheduler answers"),
        (("--scheduler", "local"), "--engine dask"),
    ],
)
def test_what_cannot_work_is_said(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    mini = Miniature(tmp_path)
    mini.submit("largest")
    assert message in mini.run("evaluate", *options, code=2, DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="1s").stderr
