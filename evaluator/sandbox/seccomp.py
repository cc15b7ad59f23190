"""System calls that no pruning method needs, refused by the kernel (seccomp, in Linux).

What name spaces leave open: sockets of families without a name space (vsock reaches a virtual machine's host), new name
spaces, memory that no watchdog sees (memfd, System V), asynchronous calls that pass this filter by (io_uring), other
processes' memory, and changes to PID 1, which would outlive the task.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

NUMBERS = {
    # name: (x86_64, aarch64); None where the machine has no such call
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "userfaultfd": (323, 282), "bpf": (321, 280),
    "perf_event_open": (298, 241), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "chroot": (161, 51),
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "fanotify_init": (300, 262), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273), "swapon": (167, 224),
    "move_pages": (279, 239), "migrate_pages": (256, 238),
}  # fmt: skip
"""Refused whatever the arguments."""

OF_PID_1 = {
    "prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
}  # fmt: skip
"""Refused when the first argument is 1."""

OF_OTHERS = {"setpriority": ((141, 140), 0), "ioprio_set": ((251, 30), 1)}
"""(which, who): refused unless ``which`` says process (the last number) and ``who`` is 0, the caller itself."""

CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
NEW_SPACES = 0x7E020000
AF_UNIX = 1
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, ARCH_AT, ARGS_AT = 0, 4, 16
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, constant); jumps count the instructions to skip."""


def known() -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return platform.system() == "Linux" and platform.machine() in ARCHITECTURES


def install() -> None:
    """Refuse the calls above to this process and all that it starts, for good, where their numbers are known."""
    if not known():
        return
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program(platform.machine()))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def program(machine: str) -> list[Instruction]:
    """The filter for one kind of machine."""
    column, arch = ARCHITECTURES[machine]
    parts = [(LOAD, 0, 0, ARCH_AT), (EQUAL, 1, 0, arch), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER_AT)]
    if machine == "x86_64":  # the x32 calls would be another table
        parts += [(AT_LEAST, 0, 1, 0x40000000), _refuse()]
    for numbers in NUMBERS.values():
        parts += [(EQUAL, 0, 1, numbers[column]), _refuse()]
    # glibc falls back to clone, whose flags a filter can read
    parts += [(EQUAL, 0, 1, CLONE3[column]), _refuse(errno.ENOSYS)]
    parts += _when(CLONE[column], 0, (ANY_BIT, 0, 1, NEW_SPACES))
    parts += _when(SOCKET[column], 0, (EQUAL, 1, 0, AF_UNIX))
    for numbers in OF_PID_1.values():
        parts += _when(numbers[column], 0, (EQUAL, 0, 1, 1))
    for numbers, process in OF_OTHERS.values():
        parts += _when(numbers[column], 0, (EQUAL, 1, 0, process))
        parts += _when(numbers[column], 1, (EQUAL, 1, 0, 0))
    return [*parts, (RETURN, 0, 0, ALLOW)]


def _refuse(code: int = errno.EPERM) -> Instruction:
    return (RETURN, 0, 0, ERROR | code)


def _when(number: int, argument: int, test: Instruction) -> list[Instruction]:
    """Refuse call ``number`` when ``test``, on the lower half of an argument, does not skip the refusal."""
    body = [(LOAD, 0, 0, ARGS_AT + 8 * argument), test, _refuse(), (LOAD, 0, 0, NUMBER_AT)]
    return [(EQUAL, 0, len(body), number), *body]
