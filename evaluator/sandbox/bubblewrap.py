"""The child inside bubblewrap: own mount, PID, network, IPC and host name spaces, and nothing of this machine in sight.

Root and other users start it differently. A user gets a user namespace of his own. Root must not: inside it he would
still be root to the kernel, with the file permissions of root (on /proc/sys, for one) and without a limit on processes.
So for root the child starts with the right to change its user, and becomes nobody before it serves.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from evaluator.sandbox import seccomp
from evaluator.sandbox.given import given_folder
from evaluator.sandbox.layout import (
    PACKAGE,
    SCRATCH_MB,
    Launch,
    Layout,
    configuration,
    drivers,
    environment,
    python_command,
    python_path,
    stage,
)
from evaluator.sandbox.spec import Spec

INSIDE = Path("/espalier")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
LOADER = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
PROCESSORS = "/sys/devices/system/cpu"
"""PyTorch chooses its kernels by what it finds here; without it the numbers would differ from those outside."""
GRAPHICS = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", "/dev/nvidia-caps")
NOBODY = range(61184, 65520)
"""Users that systemd sets aside for passing services; one for each sandbox, so that their limits are their own."""


def launch(spec: Spec, home: Path) -> Launch:
    uid = NOBODY.start + secrets.randbelow(len(NOBODY)) if _as_root() else None
    output, scratch = INSIDE / "output", (INSIDE / "tmp", Path("/dev/shm"))  # noqa: S108
    layout = Layout(
        code=INSIDE / "code",
        method=INSIDE / "submission" / "method.py",
        train=INSIDE / "data" / "train.safetensors",
        validation=INSIDE / "data" / "validation.safetensors",
        given=INSIDE / "given",
        output=output,
        scratch=scratch,
        pycache=INSIDE / "pycache",
    )
    files = {
        stage(spec, home): layout.method,
        spec.visible / "train.safetensors": layout.train,
        spec.visible / "validation.safetensors": layout.validation,
    }
    shown = {target: _open_to_all(source, home / target.name, uid) for source, target in files.items()}
    if (pictures := spec.visible / "pictures").exists():
        shown[layout.train.parent / "pictures"] = pictures
    shown |= {layout.given: given_folder(home), layout.pycache: spec.pycache, layout.code / "evaluator": PACKAGE}
    shown |= {**_python(), **_drivers(spec.device)}
    # twice, so that a checkpoint which waits to be taken leaves room for the next, or for the artifact
    room = {output: 2 * spec.limits.output_mb + 1, **dict.fromkeys(scratch, SCRATCH_MB)}
    devices = _devices() if spec.device != "cpu" else []
    last = [*_proc(spec.device), "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(scratch[0])]
    hidden = [part for folder in _data_of_packages() for part in ("--tmpfs", str(folder), "--remount-ro", str(folder))]
    # a checkout below /tmp brings its environment along; only else can /tmp be another name of the scratch folder
    tmp = [] if any(Path("/tmp") in path.parents for path in shown) else ["--symlink", str(scratch[0]), "/tmp"]  # noqa: S108
    command = [*_wall(), *_binds(shown), *tmp, *hidden, *_writable(room), *devices, *last, "--", *python_command(layout)]
    places = environment(scratch[0], spec.gpu, device=spec.device)
    return Launch(command, places, configuration(spec, layout, uid=uid), wrapped=True)


@functools.cache
def works() -> bool:
    """Whether bubblewrap can do here all that it is needed for; tried once."""
    if shutil.which("bwrap") is None or not seccomp.known():
        return False
    return _as_root() if os.geteuid() == 0 else _starts(_user_wall())


@functools.cache
def _as_root() -> bool:
    return os.geteuid() == 0 and _starts(_root_wall())


def _starts(wall: list[str]) -> bool:
    command = [*wall, *_system(), "--perms", "0755", "--size", "4096", "--tmpfs", "/tmp", "--", "/bin/true"]  # noqa: S108
    try:
        done = subprocess.run(command, env={"PATH": os.defpath}, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _wall() -> list[str]:
    return [*(_root_wall() if _as_root() else _user_wall()), *_system()]


def _root_wall() -> list[str]:
    spaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    return [*_start(), *spaces, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]


def _user_wall() -> list[str]:
    return [*_start(), "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]


def _start() -> list[str]:
    # as PID 1 the child cannot be killed from within, inherits every orphan, and takes all others with it when it dies
    return [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session", "--as-pid-1"]


def _system() -> list[str]:
    parts = ["--hostname", "sandbox"]
    for folder in ("/etc", "/sys", "/sys/devices", "/sys/devices/system"):
        parts += ["--perms", "0755", "--dir", folder]
    for path in SYSTEM:
        if Path(path).is_symlink():
            parts += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).exists():
            parts += ["--ro-bind", path, path]
    for path in (*LOADER, PROCESSORS):
        parts += ["--ro-bind-try", path, path]
    return [*parts, "--proc", "/proc", "--dev", "/dev"]


def _python() -> dict[Path, Path]:
    """The interpreter and its packages, where they are: an interpreter does not run from another place."""
    real = str(Path(sys.executable).resolve().parents[1])
    folders = dict.fromkeys([real, sys.base_prefix, sys.prefix, *python_path()])
    outer = [f for f in folders if not f.startswith("/usr/") and f != "/usr"]
    outer = [f for f in outer if not any(f.startswith(f"{other}/") for other in outer)]
    return {Path(folder): Path(folder) for folder in outer}


def _drivers(device: str) -> dict[Path, Path]:
    """The driver's libraries for a GPU, where they lie outside the system."""
    folders = [Path(folder) for folder in (drivers() if device != "cpu" else ())]
    return {folder: folder for folder in folders if not any(folder.is_relative_to(part) for part in SYSTEM)}


def _data_of_packages() -> list[Path]:
    """Test images that a package brings along: those of the digits."""
    found = importlib.util.find_spec("sklearn")
    folders = [Path(place) / "datasets" / "data" for place in (found.submodule_search_locations or [])] if found else []
    return [folder for folder in folders if folder.is_dir()]


def _binds(shown: Mapping[Path, Path]) -> list[str]:
    """target -> source, read-only. The folders above come first: bubblewrap would make them for root alone."""
    above = sorted({parent for target in shown for parent in target.parents if parent != Path("/")})
    parts = [part for folder in above for part in ("--perms", "0755", "--dir", str(folder))]
    for target, source in shown.items():
        parts += ["--ro-bind", str(source.resolve()), str(target)]
    return parts


def _writable(room: dict[Path, int]) -> list[str]:
    parts = []
    for folder, megabytes in room.items():
        parts += ["--perms", "1777", "--size", str(megabytes << 20), "--tmpfs", str(folder)]
    return parts


def _proc(device: str) -> list[str]:
    """Read-only, but for a GPU: CUDA names its threads in /proc/self, and does not start where it cannot.

    What a process finds writable there is its own; bubblewrap covers /proc/sys and the like.
    """
    return ["--remount-ro", "/proc"] if device == "cpu" else []


def _devices() -> list[str]:
    nodes = [*GRAPHICS, *(str(path) for path in sorted(Path("/dev").glob("nvidia[0-9]*")))]
    return [part for node in nodes for part in ("--dev-bind-try", node, node)]


def _open_to_all(path: Path, copy: Path, uid: int | None) -> Path:
    """``path``, or a copy of it where only root could read it and the child is not to be root."""
    if uid is None or path.is_dir() or path.stat().st_mode & 0o004:
        return path
    shutil.copyfile(path, copy)
    copy.chmod(0o644)
    return copy
