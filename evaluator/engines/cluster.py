"""Many machines: each group of cells is a task of a Dask cluster, JSON in and JSON out.

The machines see one checkout under one path, as on a cluster with a shared file system: submissions, base models and what
was pruned before are read there, predictions are written there. Records are written by the coordinator alone. A worker
that dies loses the groups it had, which run again on another; what they had pruned by then is kept.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from evaluator.errors import EspalierError, UsageError
from evaluator.grid import Cell, load_grid
from evaluator.group import Group, run
from evaluator.metadata import load_submission
from evaluator.plan import Planned
from evaluator.records import Record, Store
from evaluator.records.record import DENSE
from evaluator.repository import Repository
from evaluator.setting import Setting, open_setting

LOCAL, SLURM = "local", "slurm"
GPU = "GPU"
"""The abstract resource of which a task takes one, where a GPU measures: `dask worker --resources GPU=1`."""
LOST_WORKERS = 5
"""So many workers may die over one group before it counts as what kills them."""


def run_all(groups: Sequence[Group], setting: Setting, workers: int, scheduler: str = LOCAL) -> Iterator[Record]:
    """Records of all groups as they are made, in no particular order.

    Args:
        scheduler: ``local`` starts ``workers`` processes here, ``slurm`` as many jobs by the configuration of
            dask-jobqueue; else the address of a scheduler that is there.

    Raises:
        EspalierError: no scheduler or worker is to be had, or a group's workers died again and again.
    """
    with ExitStack() as stack:
        client = stack.enter_context(_client(scheduler, setting, workers, stack))
        resources = {GPU: 1} if setting.device == "cuda" else None
        tasks = [client.submit(measure, _as_json(group, setting), resources=resources, pure=False) for group in groups]
        names = dict(zip((task.key for task in tasks), (group.name for group in groups), strict=True))
        failed = []
        for task in _as_completed(tasks):
            if (problem := task.exception()) is not None:
                failed.append(f"{names[task.key]} ({problem})")
            else:
                yield from map(Record.model_validate_json, task.result())
        if failed:
            raise EspalierError(f"not measured: {'; '.join(failed)}", fix="see the workers' logs, and run the command again")


def measure(task: str) -> list[str]:
    """On a worker: measure one group; its records as JSON."""
    content = json.loads(task)
    setting = _on_worker(_setting(**content["setting"]))
    repository = setting.repository
    submission = None if content["slug"] == DENSE else load_submission(repository.submissions / content["slug"])
    if submission is not None and submission.digest != content["digest"]:
        raise EspalierError(f"{content['slug']} is another one here than where the work was planned", where=repository.root)
    planned = tuple(Planned(submission, Cell(*cell), "missing", todo=tuple(todo)) for cell, todo in content["cells"])
    group = Group(submission, content["benchmark"], planned)
    with setting.scorers() as scorers:
        return [record.model_dump_json() for record in run(group, setting, scorers)]


def _as_json(group: Group, setting: Setting) -> str:
    submission = group.submission
    return json.dumps(
        {
            "slug": submission.slug if submission else DENSE,
            "digest": submission.digest if submission else None,
            "benchmark": group.benchmark,
            "cells": [(planned.cell, planned.todo) for planned in group.planned],
            "setting": {
                "root": str(setting.repository.root),
                "device": setting.device,
                "sandbox": setting.sandbox,
                "reuse": [str(store.folder) for store in setting.reuse],
                "afresh": setting.afresh,
                "recipe": setting.recipe,
            },
        }
    )


def _setting(root: str, device: str, sandbox: Any, reuse: list[str], afresh: bool, recipe: str | None) -> Setting:
    found = _opened(root, device, sandbox)
    stores = tuple(Store(Path(folder)) for folder in reuse)
    return replace(found, reuse=stores, afresh=afresh, recipe=recipe)


@lru_cache(maxsize=4)
def _opened(root: str, device: str, sandbox: Any) -> Setting:
    """Once for each process: it imports PyTorch in a child to see where we are."""
    repository = Repository(Path(root))
    return open_setting(repository, load_grid(repository.grid), device=device, sandbox=sandbox)


def _on_worker(setting: Setting) -> Setting:
    """With the GPU that is the worker's own: by its number among local workers, else the first that it sees."""
    name = _library("distributed").get_worker().name
    return setting.of_worker(name if isinstance(name, int) else 0)


def _client(scheduler: str, setting: Setting, workers: int, stack: ExitStack) -> Any:
    distributed = _library("distributed")
    _library("dask").config.set(
        {"distributed.scheduler.allowed-failures": LOST_WORKERS, "distributed.admin.tick.limit": "60s"}
    )
    resources = {GPU: 1} if setting.device == "cuda" else {}
    if scheduler == LOCAL:
        options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "resources": resources}
        return distributed.Client(stack.enter_context(distributed.LocalCluster(**options)))
    if scheduler == SLURM:
        cluster = stack.enter_context(_slurm(resources))
        cluster.scale(jobs=workers)
        return distributed.Client(cluster)
    try:
        return distributed.Client(scheduler)
    except (OSError, ValueError) as error:
        fix = "--scheduler tcp://HOST:8786, local or slurm"
        raise UsageError(f"no Dask scheduler answers at {scheduler} ({error})", fix=fix) from None


def _library(name: str) -> Any:
    """A library of the extra `cluster`. Raises UsageError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(f"{name} is not installed", fix="python -m pip install -e '.[cluster]' in the checkout") from None


def _slurm(resources: dict[str, int]) -> Any:
    jobqueue = _library("dask_jobqueue")
    extra = ["--resources", ",".join(f"{name}={number}" for name, number in resources.items())] if resources else []
    try:
        return jobqueue.SLURMCluster(worker_extra_args=extra, processes=1)
    except (ValueError, TypeError) as error:
        fix = "say what a job is under jobqueue.slurm in ~/.config/dask/jobqueue.yaml: cores, memory, queue"
        raise UsageError(f"dask-jobqueue cannot make Slurm jobs: {error}", fix=fix) from None


def _as_completed(tasks: Sequence[Any]) -> Iterator[Any]:
    """Waits by parts of a second: waiting without end would not hear Ctrl-C."""
    wait = _library("distributed").wait
    waiting = set(tasks)
    while waiting:
        try:
            done = wait(waiting, timeout=0.5, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            continue
        waiting -= done
        yield from done
