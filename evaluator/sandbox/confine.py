"""What the child does to itself before and after the fork, on top of the walls around it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from evaluator.sandbox import seccomp

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
FILES_OPEN, FILES_OPEN_WITH_GPU = 256, 1024
"""CUDA opens its device nodes dozens of times."""
SPARE_PROCESSES = 8
STACK_BYTES = 8 << 20
"""Reserved for each thread, and hardly used."""
LINUX = sys.platform == "linux"


def settle(config: dict[str, Any]) -> None:
    """Of the process that serves: become nobody, out of reach of its tasks, and give up what no task may have."""
    if (uid := config["uid"]) is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # the first process of a name space gets only those signals from within for which it has a handler
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.umask(0o077)
    limits = config["limits"]
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, FILES_OPEN if config["device"] == "cpu" else FILES_OPEN_WITH_GPU)
    _limit(resource.RLIMIT_FSIZE, (limits["output_mb"] + 1) << 20)
    if not LINUX:
        return
    if os.getpid() == 1:
        # the watchdog sees the limit itself; this only slows a fork bomb until it looks
        if uid is not None or _counts_by_name_space():
            _limit(resource.RLIMIT_NPROC, limits["processes"] + SPARE_PROCESSES)
        _limit(resource.RLIMIT_MSGQUEUE, 0)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_DUMPABLE, 0)
    # changing the user cancelled what bubblewrap had set
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    seccomp.install()


def settle_task(config: dict[str, Any]) -> None:
    """Of the forked process: a memory limit, so that a method that asks for too much hears so and can say where."""
    if LINUX:
        _prctl(PR_SET_DUMPABLE, 1)
        if config["device"] == "cpu":  # CUDA reserves far more address space than it uses
            _limit_memory(config["limits"]["memory_mb"] << 20, config["limits"]["processes"])


def leave_with_parent() -> None:
    """Of a child process: be killed when its parent ends, however that ends."""
    if LINUX:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _counts_by_name_space() -> bool:
    """Since Linux 5.14 a user's processes count within a user name space, not with all the others that he runs."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (5, 14)


def _limit_memory(allowed: int, threads: int) -> None:
    values = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    size, data, resident = (int(values[name].split()[0]) << 10 for name in ("VmSize", "VmData", "VmRSS"))
    room = max(allowed - resident, 1 << 26) + threads * STACK_BYTES
    _limit(resource.RLIMIT_DATA, data + room)
    _limit(resource.RLIMIT_AS, size + room)


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")
