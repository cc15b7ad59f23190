"""The sandbox's parts, each alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evaluator.grid import Limits
from evaluator.sandbox import bubblewrap, seccomp, warm_pycache
from evaluator.sandbox.failures import judge, last_line
from evaluator.sandbox.layout import environment
from evaluator.sandbox.logs import as_written, clean_log, clean_reason
from evaluator.sandbox.scratch import clear
from evaluator.sandbox.watchdog import Watchdog, descendants, processor_seconds, share

LIMITS = {"wall_seconds": 1, "memory_mb": 100, "processes": 3, "output_mb": 7}


def test_importing_the_package_does_not_import_torch() -> None:
    """The coordinator needs none of it."""
    code = "import sys, evaluator.sandbox; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"plain\n", "plain"),
        (b"a\r\nb\rc\td", "a\nb\nc\td"),
        (b"\x1b[31mred\x07\x00", "[31mred"),
        ("left\u202eright\u200b\ufeff\U000e0041".encode(), "leftright"),
        (b"\xff", "\ufffd"),
        (b"in /home/ann/env/lib and /home/ann", "in .../lib and ..."),
        (b'File "/espalier/submission/method.py"', 'File "method.py"'),
    ],
)
def test_logs_are_plain(printed: bytes, shown: str) -> None:
    assert clean_log(printed, ["/home/ann/env", "/home/ann"]) == shown


def test_logs_are_short() -> None:
    """The end is what helps; characters are not cut in two."""
    log = clean_log("é".encode() * 10000 + b"end", [])
    assert len(log.encode()) <= 8000
    assert log.startswith("[...]é")
    assert log.endswith("end")
    assert clean_reason("a\nb " * 400, []).startswith("a b a b")
    assert len(clean_reason("a\nb " * 400, [])) == 300


def test_lines_are_those_that_the_author_sees() -> None:
    """Line 4 of what runs is line 6 of what was written; what is not there stays as it is."""
    code = '"""One\ntwo\nthree."""\nx = 1\n\ny = 2\n'
    log = 'File "method.py", line 4, in f\nmethod.py:2: UserWarning\nFile "job.py", line 4\nFile "method.py", line 99'
    seen = 'File "method.py", line 6, in f\nmethod.py:4: UserWarning\nFile "job.py", line 4\nFile "method.py", line 99'
    assert as_written(log, code) == seen
    assert as_written("SyntaxError: 'return' outside function (line 2)", code).endswith("(line 4)")
    assert as_written(log, "x = 1\n" * 9) == log


def test_exceptions_that_cannot_be_printed() -> None:
    class Trap(Exception):
        def __str__(self) -> str:
            raise self

    assert "Trap" in last_line(Trap())


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MemoryError(), "out_of_memory", "limit of 100 MB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory", "100 MB"),
        (OSError(12, "Cannot allocate memory"), "out_of_memory", "100 MB"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "out_of_memory", "the GPU has left"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "out_of_memory", "the GPU has left"),
        (OSError(11, "Resource temporarily unavailable"), "method_error", "limit is 3"),
        (RuntimeError("can't start new thread"), "method_error", "limit is 3"),
        (OSError(28, "No space left on device"), "method_error", "7 MB"),
        (OSError(27, "File too large"), "method_error", "7 MB"),
        (KeyError("x"), "method_error", "KeyError: 'x'"),
        (KeyboardInterrupt(), "method_error", "KeyboardInterrupt"),
    ],
)
def test_exceptions_to_statuses(error: BaseException, status: str, reason: str) -> None:
    found = judge(error, LIMITS)
    assert found[0] == status
    assert reason in found[1]


def test_a_driver_that_only_the_search_path_leads_to_is_there_with_a_gpu(tmp_path: Path, monkeypatch) -> None:
    """As in a container that was given a GPU; nothing else of the path, which may lead anywhere."""
    driver, other = tmp_path / "driver", tmp_path / "other"
    for folder in (driver, other):
        folder.mkdir()
    (driver / "libcuda.so.1").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{other}:{driver}:.")
    assert environment(tmp_path, device="cuda")["LD_LIBRARY_PATH"] == str(driver)
    assert bubblewrap._drivers("cuda") == {driver: driver}
    assert "LD_LIBRARY_PATH" not in environment(tmp_path)
    assert bubblewrap._drivers("cpu") == {}


def test_scratch_is_emptied(tmp_path: Path) -> None:
    """Hidden files, links (not what they lead to), folders without rights."""
    kept, folder = tmp_path / "kept", tmp_path / "scratch"
    kept.mkdir()
    (kept / "file").touch()
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / ".hidden").touch()
    (folder / "link").symlink_to(kept)
    (folder / "dangling").symlink_to("nowhere")
    (folder / "deep").chmod(0)
    assert clear([str(folder)])
    assert list(folder.iterdir()) == []
    assert (kept / "file").exists()
    assert not clear([str(tmp_path / "gone")])


def test_watchdog_sees_processes_and_memory() -> None:
    """Of children and their children; what they share counts once."""
    child = r"import os, time; x = bytearray(b'x' * (80 << 20)); os.fork(); os.write(1, b'on\n'); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"on\n"
        assert parent.stdout.readline() == b"on\n"
        below = list(descendants(parent.pid))
        assert len(below) == 2
        assert 80 < sum(map(share, below)) < 130
        limits = Limits(wall_seconds=10, memory_mb=120, processes=2, output_mb=1)
        watchdog = Watchdog(parent.pid, limits)
        assert watchdog.violation(1) is None
        assert watchdog.peak_mb is not None
        reason = "ran longer than the limit of 10 s, 0 s of them on a processor"
        assert Watchdog(parent.pid, limits).violation(11) == ("timeout", reason)
        few = limits.model_copy(update={"processes": 1})
        assert Watchdog(parent.pid, few).violation(1) == ("method_error", "more than the limit of 1 processes and threads")
        small = limits.model_copy(update={"memory_mb": 50})
        assert Watchdog(parent.pid, small).violation(1) == ("out_of_memory", "more than the limit of 50 MB of memory")
    finally:
        for pid in [*descendants(parent.pid), parent.pid]:
            os.kill(pid, signal.SIGKILL)
        parent.wait()


def test_time_on_a_processor_is_not_time_that_passed() -> None:
    code = r"import os, time; [time.process_time() < 0.5 or os.write(1, b'.') or time.sleep(60) for _ in iter(int, 1)]"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        assert 0.4 < processor_seconds(process.pid) < 1
    finally:
        process.kill()
        process.wait()
    assert processor_seconds(process.pid) == 0


def allowed(machine: str, number: int, *arguments: int) -> bool:
    """Run the filter as the kernel would."""
    arch = seccomp.ARCHITECTURES[machine][1]
    memory = {seccomp.NUMBER_AT: number, seccomp.ARCH_AT: arch}
    memory |= {seccomp.ARGS_AT + 8 * i: value & 0xFFFFFFFF for i, value in enumerate(arguments)}
    program, at, held = seccomp.program(machine), 0, 0
    while True:
        code, yes, no, constant = program[at]
        at += 1
        if code == seccomp.LOAD:
            held = memory.get(constant, 0)
        elif code == seccomp.RETURN:
            return constant == seccomp.ALLOW
        else:
            tests = {seccomp.EQUAL: held == constant, seccomp.AT_LEAST: held >= constant, seccomp.ANY_BIT: held & constant}
            at += yes if tests[code] else no


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (0, (), True),
        (41, (1, 1, 0), True),
        (41, (2, 1, 0), False),
        (41, (40, 1, 0), False),
        (56, (0x01200011,), True),
        (56, (0x10000011,), False),
        (56, (0x20000000,), False),
        (101, (), False),
        (319, (), False),
        (302, (0, 7), True),
        (302, (1, 7), False),
        (141, (0, 0, 5), True),
        (141, (0, 1, 5), False),
        (141, (2, 0, 5), False),
        (251, (1, 0), True),
        (251, (3, 0), False),
        (435, (), False),
        (0x40000000, (), False),
        (500, (), True),
    ],
)
def test_filter_of_system_calls(number: int, arguments: tuple[int, ...], expected: bool) -> None:
    """x86_64: read, socket, clone, ptrace, memfd_create, prlimit64, setpriority, ioprio_set, clone3, x32."""
    assert allowed("x86_64", number, *arguments) is expected


def test_filter_knows_both_machines() -> None:
    """No call is refused twice, or by the number of the other machine."""
    for machine, (column, _) in seccomp.ARCHITECTURES.items():
        numbers = [numbers[column] for numbers in seccomp.NUMBERS.values()]
        assert len(set(numbers)) == len(numbers)
        assert not any(allowed(machine, number) for number in numbers)
        jumps = [max(yes, no) for _, yes, no, _ in seccomp.program(machine)]
        assert max(jumps) < 256


def test_bytecode_is_made_once(pycache: Path) -> None:
    """And for other code of ours, that of packages is linked; what is not needed goes."""
    before = {path: path.stat().st_mtime_ns for path in pycache.rglob("*.pyc")}
    assert warm_pycache(pycache.parent) == pycache
    assert {path: path.stat().st_mtime_ns for path in pycache.rglob("*.pyc")} == before


def test_bytecode_of_packages_is_linked_from_an_older_version_of_ours(
    pycache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is ours is another file: the older one may be read meanwhile. It goes when there are too many.

    Whoever the child runs as can read all of it, whatever the umask.
    """
    monkeypatch.setattr("evaluator.sandbox.pycache._fingerprint_of_ours", lambda: "newer")
    monkeypatch.setattr("evaluator.sandbox.pycache.KEPT", 1)
    packages = pycache.name.partition("-")[0]
    older = shutil.copytree(pycache, tmp_path / f"{packages}-older")
    names = [next(older.rglob(name)).relative_to(older) for name in ("functional.*.pyc", "zygote.*.pyc")]
    theirs, ours = ((older / name).stat().st_ino for name in names)
    before = os.umask(0o077)
    try:
        newer = warm_pycache(tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in newer.rglob("*")} == {0o755, 0o644}
    assert (newer / names[0]).stat().st_ino == theirs
    assert (newer / names[1]).stat().st_ino != ours
    assert [path.name for path in tmp_path.glob("*-*")] == [f"{packages}-newer"]
