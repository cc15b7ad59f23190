"""Signatures: who vouches for a file of published records. No PyTorch here.

Beside each file lies a detached signature, ``<name>.sig``, made by ``ssh-keygen -Y sign`` and judged by ``ssh-keygen -Y
verify`` against the file ``allowed_signers`` in the folder of the store. Anybody can check one by hand::

    ssh-keygen -Y verify -f results/allowed_signers -I NAME -n espalier-records -s FILE.sig < FILE

A signature for each file, and no signed manifest: work on two branches touches different files and is merged without a
conflict, while each would change the one manifest. What a file is called is not signed, but every line names benchmark and
submission, and a store refuses a line in another's file. That no file is missing, and none is of yesterday, git says.

A file and its signature cannot be replaced in one moment. While a file is being replaced its signature therefore holds two
blocks, for the old content and for the new: whenever a kill comes, one of them fits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from evaluator.canonical import write_atomically
from evaluator.errors import SignatureError

NAMESPACE = "espalier-records"
SIGNERS = "allowed_signers"
"""Name of the file that says whose signatures count; where there is none, nothing has to be signed."""
SUFFIX = ".sig"

State = Literal["ok", "unsigned", "altered", "unknown signer", "expired"]

_BLOCK = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n")
_LARGEST = 65_536
_REMEDIES: dict[State, str] = {
    "unsigned": "if you know where it is from, sign it (`espalier sign`); otherwise restore it from git",
    "altered": "restore the file and its signature from git; if you know who changed it, sign it (`espalier sign`)",
    "unknown signer": f"sign it with a key that {SIGNERS} names; or add this one there, if you trust it",
    "expired": "sign it again with a key that is in force (`espalier sign`)",
}


class Verdict(NamedTuple):
    """What is to be thought of a file: ``signer`` is the name that its key has, where it has one."""

    file: Path
    state: State
    signer: str | None = None
    reason: str = ""
    block: bytes = b""
    """The signature that was judged."""

    @property
    def error(self) -> SignatureError:
        """The same as an error, for whoever needs the file to be signed."""
        return SignatureError(self.reason, where=self.file, fix=_REMEDIES.get(self.state))


def signature_of(file: Path) -> Path:
    return file.with_name(file.name + SUFFIX)


def published_files(folder: Path) -> list[Path]:
    """What has to be signed in the folder of a store: records, the audits and changes beside them, and what was accepted."""
    patterns = ("*/*.jsonl", "*/audit/*.jsonl", "changes/*/*.jsonl", "previous/*/*.jsonl", "accepted.jsonl")
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


class AllowedSigners:
    """Whose signatures count, a line each: ``NAME [options] ssh-ed25519 AAAA...``, as ``man ssh-keygen`` explains.

    ``namespaces="espalier-records"`` keeps a key to this purpose; ``valid-after="20260101Z"`` and ``valid-before`` say when
    it is in force (UTC). That is looked at when a file is verified: a signature tells no time that could be believed. Before
    a key ends, its files are signed again with the next one.

    Raises:
        SignatureError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SignatureError(f"this file cannot be read ({error})", where=path, fix="restore it from git") from None
        self._lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    @classmethod
    def of(cls, folder: Path) -> AllowedSigners | None:
        """Those of a store; None where it names none, and nothing has to be signed."""
        path = folder / SIGNERS
        return cls(path) if os.path.lexists(path) else None

    def names(self, key: bytes) -> list[str]:
        """The names that a public key has here; whether it is in force is another question."""
        wanted = base64.b64encode(key).decode()
        return [_first_name(line) for line in self._lines if wanted in line.split()]

    def verify(self, file: Path) -> Verdict:
        """Who signed a file, or why its signature does not count.

        Raises:
            SignatureError: there is no ssh-keygen.
        """
        signature = _read(signature_of(file))
        while True:
            verdict = self._verify(file, signature)
            again = _read(signature_of(file))
            if verdict.state == "ok" or again == signature:
                return verdict
            signature = again  # somebody was just replacing the file

    def _verify(self, file: Path, signature: bytes | None) -> Verdict:
        if signature is None:
            return Verdict(file, "unsigned", reason="it is not signed")
        blocks = _BLOCK.findall(signature)
        if not blocks:
            return Verdict(file, "altered", reason="the .sig file beside it is not a signature")
        content = file.read_bytes()
        verdicts = [self.judge(file, content, block) for block in blocks[-2:]]
        return next((verdict for verdict in verdicts if verdict.state == "ok"), verdicts[-1])

    def verify_all(self, files: Iterable[Path]) -> list[Verdict]:
        """A verdict for each file, in their order; ssh-keygen takes a few milliseconds for one, several run at a time."""
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            return list(pool.map(self.verify, files))

    def require(self, files: Iterable[Path]) -> list[Verdict]:
        """As :meth:`verify_all`. Raises SignatureError, naming the first file, unless every signature counts."""
        verdicts = self.verify_all(files)
        wrong = [verdict for verdict in verdicts if verdict.state != "ok"]
        if wrong:
            error = wrong[0].error
            error.what += f" (nor can {len(wrong) - 1} more be accepted: `espalier verify` lists them)" if wrong[1:] else ""
            raise error
        return verdicts

    def judge(self, file: Path, content: bytes, block: bytes) -> Verdict:
        """One signature of some content. Only ssh-keygen judges; read here is merely whom to ask it about."""
        key = _key_of(block)
        if key is None:
            return Verdict(file, "altered", reason="the .sig file beside it is not a signature", block=block)
        verdict = Verdict(file, "unknown signer", None, f"its signer is unknown (key {_fingerprint(key)})", block)
        with tempfile.NamedTemporaryFile(suffix=SUFFIX) as copy:
            copy.write(block)
            copy.flush()
            for name in self.names(key):
                options = ("-f", str(self.path.absolute()), "-I", name, "-s", copy.name)
                done = _ssh_keygen("verify", *options, content=content)
                if done.returncode == 0:
                    return Verdict(file, "ok", name, "", block)
                verdict = Verdict(file, *_refusal(done.stderr.decode(errors="replace"), name), block)
        return verdict


class SigningKey:
    """A key whose signatures count. Its file holds the private key, or the public one if ssh-agent has the other half.

    Raises:
        SignatureError: it cannot sign, or its signatures would not count.
    """

    def __init__(self, key: Path, signers: AllowedSigners) -> None:
        self._key = key.expanduser().absolute()
        self.signers = signers
        trial = signers.judge(self._key, b"", self._sign(b""))
        if trial.state == "unknown signer":
            line = _as_line(_key_of(trial.block) or b"")
            raise SignatureError(
                trial.reason.replace("its signer", "this key"),
                where=self._key,
                fix=f'if records may be signed with it, add a line to {signers.path}: NAME namespaces="{NAMESPACE}" {line}',
            )
        if trial.state != "ok":
            raise SignatureError(trial.reason, where=self._key, fix=f"take another key, or see to {signers.path}")
        self.name = trial.signer

    def sign(self, file: Path) -> None:
        """Sign a file as it is; what was signed before counts no longer."""
        write_atomically(signature_of(file), self._sign(file.read_bytes()))

    def replace(self, file: Path, content: bytes) -> None:
        """Write ``content`` and sign it, so that the file is signed at any moment.

        Raises:
            SignatureError: the file has no signature that counts: with it, what somebody slipped in would be signed.
        """
        known = b""
        if file.is_file():
            verdict = self.signers.verify(file)
            if verdict.state != "ok":
                raise verdict.error
            known = verdict.block
        block = self._sign(content)
        write_atomically(signature_of(file), known + block)
        write_atomically(file, content)
        write_atomically(signature_of(file), block)

    def _sign(self, content: bytes) -> bytes:
        done = _ssh_keygen("sign", "-f", str(self._key), content=content)
        block = _BLOCK.search(done.stdout)
        if done.returncode != 0 or block is None:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["ssh-keygen says nothing"]
            fix = "name the private key, or the public one if ssh-agent has the other; `ssh-keygen -t ed25519` makes one"
            raise SignatureError(f"this key cannot sign: {lines[-1]}", where=self._key, fix=fix)
        return block.group()


def write(file: Path, content: bytes, key: SigningKey | None) -> None:
    """Replace a file of a store, signed where there is a key."""
    if key is None:
        write_atomically(file, content)
    else:
        key.replace(file, content)


def remove(file: Path) -> None:
    """Remove a file and its signature, if they are there."""
    file.unlink(missing_ok=True)
    signature_of(file).unlink(missing_ok=True)


def _read(signature: Path) -> bytes | None:
    """The beginning of a signature's file, in which there is room for all that counts; None where there is no file."""
    if not signature.is_file():
        return None
    with signature.open("rb") as file:
        return file.read(_LARGEST)


def _ssh_keygen(verb: str, *options: str, content: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", "-Y", verb, "-n", NAMESPACE, *options]
    environment = os.environ | {"TZ": "UTC0"}  # a key is in force at the same time everywhere
    try:
        return subprocess.run(command, input=content, capture_output=True, env=environment, check=False)
    except FileNotFoundError:
        fix = "install OpenSSH 8.1 or newer (Debian: apt-get install openssh-client)"
        raise SignatureError("records are signed here, and ssh-keygen, which checks that, is missing", fix=fix) from None


def _refusal(said: str, name: str) -> tuple[State, str, str]:
    """State, signer and reason, from what ssh-keygen said of a signature by a key that it found, or did not."""
    line = next((line for line in said.splitlines() if SIGNERS in line), "").rpartition(f"{SIGNERS}:")[2]
    if "expired" in line or "not yet valid" in line:
        return "expired", name, f"the key of {name} is not in force (line {line})"
    if line:
        return "unknown signer", name, f"the key of {name} does not count (line {line})"
    return "altered", name, f"it is not what {name} signed"


def _first_name(line: str) -> str:
    """Whom a line of the file of signers is about; the first where there are several."""
    quoted = line.lstrip().startswith('"')
    names = line.lstrip()[1:].partition('"')[0] if quoted else line.split(maxsplit=1)[0]
    return names.partition(",")[0]


def _key_of(block: bytes) -> bytes | None:
    """The public key that a signature says it was made with; None where it is no signature."""
    try:
        content = base64.b64decode(b"".join(block.split(b"\n")[1:-2]), validate=True)
    except binascii.Error:
        return None
    length = int.from_bytes(content[10:14], "big")
    key = content[14 : 14 + length]
    return key if content.startswith(b"SSHSIG") and key and len(key) == length else None


def _fingerprint(key: bytes) -> str:
    """As ssh-keygen prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _as_line(key: bytes) -> str:
    """A public key as in a ``.pub`` file, without the comment."""
    kind = key[4 : 4 + int.from_bytes(key[:4], "big")].decode(errors="replace")
    return f"{kind} {base64.b64encode(key).decode()}"
