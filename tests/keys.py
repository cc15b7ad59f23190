"""Keys that sign records in tests, and files that say whose signatures count. None of them outlives its test."""

from __future__ import annotations

import subprocess
from pathlib import Path

NAMESPACE = 'namespaces="espalier-records"'


def make_key(folder: Path, name: str = "key", kind: str = "ed25519") -> Path:
    """A new private key without a passphrase; the public one lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)], check=True, capture_output=True)
    return path


def line(key: Path, name: str = "runner-1", options: str = NAMESPACE) -> str:
    """The line of a key in the file of those whose signatures count."""
    public = key.with_name(f"{key.name}.pub").read_text().strip()
    return " ".join(filter(None, (name, options, public))) + "\n"


def allow(store: Path, *lines: str) -> Path:
    """Write the file that says whose signatures count."""
    store.mkdir(parents=True, exist_ok=True)
    path = store / "allowed_signers"
    path.write_text("# whose signatures count\n" + "".join(lines))
    return path
