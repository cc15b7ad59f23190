"""Signatures of published records, with the real ssh-keygen: what counts, what does not, and what a kill leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.errors import SignatureError
from evaluator.records import AllowedSigners, Audits, SigningKey, Store, signatures
from evaluator.records.signatures import published_files, signature_of
from tests.evaluator.test_churn import figure
from tests.evaluator.test_records import record
from tests.keys import allow, line, make_key
from tests.miniature import ROOT

pytestmark = pytest.mark.usefixtures("ssh_keygen")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, ssh_keygen: None) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("runner", "other")}


@pytest.fixture
def store(tmp_path: Path, keys: dict[str, Path]) -> Store:
    """A store with one signed file."""
    allow(tmp_path, line(keys["runner"]))
    made = Store(tmp_path, signing_key(tmp_path, keys["runner"]))
    made.add([record()])
    return made


def signers(folder: Path) -> AllowedSigners:
    found = AllowedSigners.of(folder)
    assert found is not None
    return found


def signing_key(folder: Path, key: Path) -> SigningKey:
    return SigningKey(key, signers(folder))


def the_file(store: Store) -> Path:
    return store.path("digits-mlp", "lamp")


def state(store: Store) -> str:
    """How the one file of the store is judged now; the same, whichever way it is asked for."""
    (verdict,) = signers(store.folder).verify_all(published_files(store.folder))
    if verdict.state != "ok":
        with pytest.raises(SignatureError) as caught:
            signers(store.folder).require(published_files(store.folder))
        assert caught.value.where == str(the_file(store))
        assert caught.value.fix
    return verdict.state


def test_what_a_store_writes_is_signed_by_its_key(store: Store) -> None:
    (verdict,) = signers(store.folder).require(published_files(store.folder))
    assert (verdict.state, verdict.signer) == ("ok", "runner-1")
    store.add([record(seed=1)])
    assert state(store) == "ok"
    assert len(list(store)) == 2


def test_anybody_can_check_a_signature_by_hand(store: Store) -> None:
    """As the module says: without Espalier."""
    path = the_file(store)
    command = ["ssh-keygen", "-Y", "verify", "-f", str(store.folder / "allowed_signers"), "-I", "runner-1", "-n",
               "espalier-records", "-s", f"{path}.sig"]  # fmt: skip
    assert subprocess.run(command, input=path.read_bytes(), check=False, capture_output=True).returncode == 0


def test_nothing_has_to_be_signed_where_nobody_is_named(tmp_path: Path) -> None:
    assert AllowedSigners.of(tmp_path) is None


def test_a_forged_record_is_seen(store: Store) -> None:
    path = the_file(store)
    path.write_bytes(path.read_bytes().replace(b'"pruning_seconds":1.0', b'"pruning_seconds":2.0'))
    assert state(store) == "altered"


def test_a_swapped_signature_is_seen(store: Store) -> None:
    store.add([record(submission="snip")])
    shutil.copy(signature_of(store.path("digits-mlp", "snip")), signature_of(the_file(store)))
    states = {v.file.stem: v.state for v in signers(store.folder).verify_all(published_files(store.folder))}
    assert states == {"lamp": "altered", "snip": "ok"}


def test_a_file_without_a_signature_is_seen(store: Store) -> None:
    signature_of(the_file(store)).unlink()
    assert state(store) == "unsigned"


BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"


@pytest.mark.parametrize("content", [b"", b"junk", BEGIN + b"!!!\n" + END, BEGIN + b"U1NI\n" + END, b"\x00" * 10**6])
def test_what_is_no_signature_is_seen(store: Store, content: bytes) -> None:
    signature_of(the_file(store)).write_bytes(content)
    assert state(store) == "altered"


def test_a_record_that_was_written_without_the_key_is_seen(store: Store) -> None:
    Store(store.folder).add([record(status="method_error")])
    assert state(store) == "altered"


def test_an_unknown_key_does_not_count(store: Store, keys: dict[str, Path]) -> None:
    allow(store.folder, line(keys["other"]))
    assert state(store) == "unknown signer"
    allow(store.folder)
    assert state(store) == "unknown signer", "a file that names nobody lets nobody sign"
    with pytest.raises(SignatureError, match="this key is unknown") as caught:
        signing_key(store.folder, keys["runner"])
    assert keys["runner"].with_suffix(".pub").read_text().split()[1] in str(caught.value.fix)


@pytest.mark.parametrize("period", ['valid-before="20200101Z"', 'valid-after="20990101Z"'])
def test_a_key_that_is_not_in_force_does_not_count(store: Store, keys: dict[str, Path], period: str) -> None:
    allow(store.folder, line(keys["runner"], options=period))
    assert state(store) == "expired"
    with pytest.raises(SignatureError, match="not in force"):
        signing_key(store.folder, keys["runner"])
    allow(store.folder, line(keys["runner"], options='valid-after="20200101Z",valid-before="20990101Z"'))
    assert state(store) == "ok"


def test_a_key_for_something_else_does_not_count(store: Store, keys: dict[str, Path]) -> None:
    """Neither one that the file names for another purpose, nor a signature that was made for one."""
    allow(store.folder, line(keys["runner"], options='namespaces="git"'))
    assert state(store) == "unknown signer"
    allow(store.folder, line(keys["runner"], options=""))
    path = the_file(store)
    command = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(keys["runner"])]
    done = subprocess.run(command, input=path.read_bytes(), check=True, capture_output=True)
    signature_of(path).write_bytes(done.stdout)
    assert state(store) == "altered"


def test_a_key_may_stand_in_several_lines(store: Store, keys: dict[str, Path]) -> None:
    old, new = line(keys["runner"], "old", 'valid-before="20200101Z"'), line(keys["runner"], "new")
    for order in ((old, new), (new, old)):
        allow(store.folder, *order)
        (verdict,) = signers(store.folder).require([the_file(store)])
        assert verdict.signer == "new"


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_keys_sign_too(tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path / "keys", kind=kind)
    allow(tmp_path / "store", line(key))
    made = Store(tmp_path / "store", signing_key(tmp_path / "store", key))
    made.add([record()])
    assert state(made) == "ok"


def test_a_key_that_cannot_sign_is_told(store: Store, keys: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="cannot sign") as caught:
        signing_key(store.folder, tmp_path / "no-such-key")
    assert "ssh-keygen -t ed25519" in str(caught.value)


def test_a_missing_ssh_keygen_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SignatureError, match="ssh-keygen") as caught:
        signers(store.folder).verify(the_file(store))
    assert "openssh-client" in str(caught.value)


def test_the_key_signs_nothing_that_somebody_slipped_in(store: Store) -> None:
    """Adding a record to a file that was altered would sign the alteration, too."""
    forged = the_file(store).read_bytes().replace(b'"pruning_seconds":1.0', b'"pruning_seconds":2.0')
    the_file(store).write_bytes(forged)
    with pytest.raises(SignatureError, match="not what runner-1 signed"):
        store.add([record(seed=1)])
    assert the_file(store).read_bytes() == forged
    assert state(store) == "altered"
    assert store.key is not None
    store.key.sign(the_file(store))
    assert state(store) == "ok", "whoever has looked at it may sign it by hand"


def test_audits_are_signed_like_records(store: Store) -> None:
    audits = Audits(store.folder, store.key)
    audits.write("digits-mlp", "lamp", [figure()])
    assert len(signers(store.folder).require(published_files(store.folder))) == 2
    audits.write("digits-mlp", "lamp", [])
    assert [path.name for path in (store.folder / "digits-mlp" / "audit").iterdir()] == [], (
        "the signature goes with the file"
    )


NAMES = ["-f.jsonl", "a b.jsonl", "new\nline.jsonl", "ü\u202e.jsonl", "$(touch pwned).jsonl", "q\"u'o.jsonl", "*.jsonl",
         "..jsonl", "\\.jsonl", "x" * 200 + ".jsonl"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_names(tmp_path: Path, keys: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is taken for an option, a pattern or a command; the working directory does not matter."""
    allow(tmp_path, line(keys["runner"]))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "-benchmark" / name
    key = signing_key(Path(), keys["runner"])
    key.replace(path, b"content\n")
    assert signers(Path()).verify(path.relative_to(tmp_path)).state == "ok"
    path.write_bytes(b"other\n")
    assert signers(tmp_path).verify(path).state == "altered"
    assert not (tmp_path / "pwned").exists()


SIGNED = b'{"a":1}\n{"b":2}\n'
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(data=st.data())
def test_no_other_content_has_the_signature(tmp_path: Path, keys: dict[str, Path], data: st.DataObject) -> None:
    allow(tmp_path, line(keys["runner"]))
    path = tmp_path / "b" / "x.jsonl"
    path.unlink(missing_ok=True)
    signing_key(tmp_path, keys["runner"]).replace(path, SIGNED)
    at = data.draw(st.integers(0, len(SIGNED) - 1))
    cut = data.draw(st.integers(0, 3))
    other = SIGNED[:at] + data.draw(st.binary(max_size=3)) + SIGNED[at + cut :]
    path.write_bytes(other)
    assert (signers(tmp_path).verify(path).state == "ok") == (other == SIGNED)


@FEW
@given(name=st.text("abcXYZ019@._-+ ", min_size=1, max_size=20).filter(lambda s: s == s.strip() and s[0] not in "!#"))
def test_whatever_a_runner_is_called(tmp_path: Path, keys: dict[str, Path], name: str) -> None:
    allow(tmp_path, line(keys["runner"], f'"{name}"'))
    path = tmp_path / "b" / "x.jsonl"
    path.unlink(missing_ok=True)
    signing_key(tmp_path, keys["runner"]).replace(path, SIGNED)
    assert signers(tmp_path).verify(path)[:3] == (path, "ok", name)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("new", [True, False])
def test_a_kill_between_two_steps_leaves_a_signed_file(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: int, new: bool
) -> None:
    """At any step: the old records or the new ones, signed; and the next writing goes on from there."""
    slug = "snip" if new else "lamp"
    steps = iter(range(1, 10))
    write = signatures.write_atomically

    def dies(path: Path, data: bytes) -> None:
        if next(steps) == step:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(signatures, "write_atomically", dies)
    with pytest.raises(KeyboardInterrupt):
        store.add([record(seed=7, submission=slug)])
    monkeypatch.setattr(signatures, "write_atomically", write)
    signers(store.folder).require(published_files(store.folder))
    store.add([record(seed=8, submission=slug)])
    signers(store.folder).require(published_files(store.folder))
    assert signature_of(store.path("digits-mlp", slug)).read_bytes().count(b"BEGIN") == 1
    assert {r.seed for r in store if r.submission == slug} >= {8}


WRITER = """
import sys
from pathlib import Path
from evaluator.records import AllowedSigners, SigningKey, Store
from tests.evaluator.test_records import record
folder = Path(sys.argv[1])
store = Store(folder, SigningKey(Path(sys.argv[2]), AllowedSigners.of(folder)))
print("ready", flush=True)
for seed in range(100000):
    store.add([record(seed=seed % 3, created=f"2026-01-01T00:00:00+00:{seed % 60:02}")])
"""


def test_killed_at_any_moment(store: Store, keys: dict[str, Path]) -> None:
    """A writer is killed six times; the file is signed each time, and the next writer goes on."""
    for attempt in range(6):
        command = [sys.executable, "-c", WRITER, str(store.folder), str(keys["runner"])]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.02 + 0.023 * attempt)
            writer.send_signal(signal.SIGKILL)
        assert state(store) == "ok"
        list(store)


def test_a_file_that_is_just_being_replaced_is_not_called_altered(store: Store) -> None:
    stop = threading.Event()

    def write() -> None:
        for seed in range(10**6):
            if stop.is_set():
                return
            store.add([record(seed=seed % 5)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        states = {signers(store.folder).verify(the_file(store)).state for _ in range(60)}
    finally:
        stop.set()
        writer.join()
    assert states == {"ok"}


def test_ssh_keygen_is_asked_once_a_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once a record: a few milliseconds each, for hundreds of files."""
    store.add([record(seed=seed) for seed in range(50)])
    store.add([record(seed=seed, submission="snip") for seed in range(50)])
    shim, log = tmp_path / "bin" / "ssh-keygen", tmp_path / "log"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho asked >> {log}\nexec {shutil.which("ssh-keygen")} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")
    assert len(signers(store.folder).require(published_files(store.folder))) == 2
    assert log.read_text().count("asked") == 2
