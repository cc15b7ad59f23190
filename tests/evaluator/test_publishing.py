"""From measuring to a site, with a key: publish, sign, verify, build, forge, and collect garbage, as from outside."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evaluator.canonical import digest_bytes
from tests.evaluator.figures import RANDOM
from tests.keys import allow, line, make_key
from tests.miniature import MAGNITUDE, Miniature

pytestmark = pytest.mark.usefixtures("bubblewrap", "ssh_keygen")

BENCHMARK = "digits-mlp"
OLD = 40 * 86_400
"""Seconds: what was written so long ago is not spared for its youth."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory, ssh_keygen: None) -> Path:
    return make_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, key: Path, bubblewrap: None) -> Miniature:
    """One submission, measured and published with a key; another one, measured locally; and the site of both."""
    mini = Miniature(tmp_path_factory.mktemp("published"))
    mini.submit("largest")
    allow(mini.root / "results", line(key))
    mini.run("evaluate", "--benchmark", BENCHMARK, "--publish", "--sign-with", str(key), "--workers", "1")
    mini.submit("chance", RANDOM)
    mini.run("evaluate", "chance", "--benchmark", BENCHMARK, "--workers", "1")
    mini.run("audit", "largest", "--published", "--write", "--sign-with", str(key))
    assert mini.json("gc", "--keep-days", "0")["kinds"].keys() == {"artifact"}, "predictions of epochs before the last"
    mini.run("site", "build")
    return mini


@pytest.fixture
def mini(published: Miniature, tmp_path: Path) -> Miniature:
    """A copy that a test may change."""
    return published.copy(tmp_path / "copy")


def the_file(mini: Miniature) -> Path:
    return mini.root / "results" / BENCHMARK / "largest.jsonl"


def forge(mini: Miniature) -> None:
    """One more image is correct, consistently."""
    text = the_file(mini).read_text()
    record = next(r for r in map(json.loads, text.splitlines()) if r["variant"] == "method")
    hit = f'"correct":{record["after"]["correct"]},'
    assert hit in text
    the_file(mini).write_text(text.replace(hit, f'"correct":{record["after"]["correct"] + 1},', 1))


@contextmanager
def held(store: Path) -> Iterator[None]:
    """The lock that an evaluation into the store would hold."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_what_is_published_with_a_key_is_signed_and_shown_so(mini: Miniature) -> None:
    """Records and audits; the local ones beside them are not signed, and need not be."""
    names = {path.name for path in (mini.root / "results").rglob("*.sig")}
    assert names == {"dense.jsonl.sig", "largest.jsonl.sig"}
    assert (mini.root / "results" / BENCHMARK / "audit" / "largest.jsonl.sig").is_file()
    report = mini.json("verify")
    assert (report["problems"], report["notes"], report["signatures"]) == ([], [], {"ok": 3})
    assert list((mini.root / ".espalier" / "results").rglob("*.sig")) == []
    methods = mini.root / "public" / "methods"
    assert "<dt>Signature</dt><dd>by runner-1</dd>" in (methods / "largest.html").read_text()
    assert "<dt>Signature</dt><dd>unsigned</dd>" in (methods / "chance.html").read_text()


def test_a_fork_without_signers_builds_as_before(mini: Miniature) -> None:
    (mini.root / "results" / "allowed_signers").unlink()
    forge(mini)
    mini.run("site", "build")
    assert "<dt>Signature</dt><dd>unsigned</dd>" in (mini.root / "public" / "methods" / "largest.html").read_text()
    found = mini.run("verify", code=1)
    assert "the classes do not sum up to the whole" in found.stdout


def test_the_site_is_not_built_of_forged_records(mini: Miniature) -> None:
    """Nor the audit made; the error names file and remedy, and the old site stays."""
    before = (mini.root / "public" / "index.html").read_bytes()
    forge(mini)
    for command in (["site", "build"], ["audit"]):
        told = mini.run(*command, code=1).stderr
        assert "results/digits-mlp/largest.jsonl: it is not what runner-1 signed" in told
        assert "restore the file and its signature from git" in told
    assert (mini.root / "public" / "index.html").read_bytes() == before
    found = mini.json("verify", code=1)
    assert {p["where"].partition(":")[0] for p in found["problems"]} == {"results/digits-mlp/largest.jsonl"}
    assert found["signatures"] == {"ok": 2, "altered": 1}


def test_nor_of_unsigned_ones_nor_of_a_strangers(mini: Miniature, tmp_path: Path) -> None:
    signature = the_file(mini).with_name("largest.jsonl.sig")
    content = signature.read_bytes()
    signature.unlink()
    assert "largest.jsonl: it is not signed" in mini.run("site", "build", code=1).stderr
    signature.write_bytes(content)
    allow(mini.root / "results", line(make_key(tmp_path, "stranger")))
    told = mini.run("site", "build", code=1).stderr
    assert "its signer is unknown" in told
    assert "nor can 2 more be accepted" in told


def test_nor_without_ssh_keygen(mini: Miniature, tmp_path: Path) -> None:
    told = mini.run("site", "build", code=1, PATH=str(tmp_path)).stderr
    assert "ssh-keygen, which checks that, is missing" in told
    assert "apt-get install openssh-client" in told


def test_publishing_without_the_key_says_what_follows(mini: Miniature, key: Path) -> None:
    """Records are written all the same; `verify` sees them, `sign` vouches for them once somebody has looked."""
    again = ["evaluate", "largest", "--benchmark", BENCHMARK, "--publish", "--force"]
    cell = ["--cell", f"{BENCHMARK}/one-shot/unstructured/2/0"]
    assert "not signed: no site can be built" in mini.run(*again, *cell).stderr
    assert mini.json("verify", code=1)["signatures"]["altered"] >= 1
    refused = mini.run(*again, *cell, "--sign-with", str(key), code=1).stderr
    assert "it is not what runner-1 signed" in refused
    assert mini.json("sign", "--dry-run", "--sign-with", str(key))["signed"] != []
    mini.run("verify", code=1)
    signed = mini.run("sign", ESPALIER_SIGNING_KEY=str(key)).stdout
    assert "signed results/digits-mlp/largest.jsonl as runner-1 (it was altered)" in signed
    mini.run("verify")
    assert mini.run("sign", "--sign-with", str(key)).stdout == "nothing to sign\n"


def test_promoted_records_are_signed(mini: Miniature, key: Path) -> None:
    """What was measured locally goes to results/ with a signature; beside a forged record nothing is promoted."""
    mini.run("promote", "chance", "--benchmark", BENCHMARK, "--sign-with", str(key))
    assert mini.json("verify")["signatures"] == {"ok": 4}
    forge(mini)
    assert "largest.jsonl: it is not what runner-1 signed" in mini.run("promote", "--sign-with", str(key), code=1).stderr


def test_sign_looks_before_it_vouches(mini: Miniature, key: Path) -> None:
    forge(mini)
    told = mini.run("sign", "--sign-with", str(key), code=1)
    assert "the classes do not sum up to the whole" in told.stderr
    assert "nothing to sign" in told.stdout
    assert mini.json("verify", code=1)["signatures"] == {"ok": 2, "altered": 1}


def test_a_new_key_takes_over(mini: Miniature, key: Path, tmp_path: Path) -> None:
    new = make_key(tmp_path, "new")
    allow(mini.root / "results", line(key), line(new, "runner-2"))
    chosen = str(the_file(mini).relative_to(mini.root))
    assert [one["file"] for one in mini.json("sign", chosen, "--all", "--sign-with", str(new))["signed"]] == [chosen]
    mini.run("sign", "--all", "--sign-with", str(new))
    allow(mini.root / "results", line(key, options='valid-before="20200101Z"'), line(new, "runner-2"))
    mini.run("verify")
    mini.run("site", "build")
    assert "by runner-2" in (mini.root / "public" / "methods" / "largest.html").read_text()


def test_wrong_usage(mini: Miniature, key: Path) -> None:
    """2 for what the command line got wrong; a key that does not count is a problem."""
    assert "--key KEY" in mini.run("sign", code=2).stderr
    mini.run("sign", "pyproject.toml", "--sign-with", str(key), code=2)
    mini.run("verify", "--nonsense", code=2)
    mini.run("gc", "--keep-days", "-1", code=2)
    mini.run("gc", "--store", "no-such", code=2)
    assert "there is no site here" in mini.run("verify", "--site", "results", code=1).stderr
    (mini.root / "results" / "allowed_signers").unlink()
    for command in (["sign"], ["promote", "--benchmark", BENCHMARK]):
        assert "KEY.pub" in mini.run(*command, "--sign-with", str(key), code=1).stderr


def test_a_site_follows_from_the_records_or_not(mini: Miniature) -> None:
    """Every number in it: a page and a download that were changed are named, with the line."""
    places = {"url": "https://example.org/espalier/", "source": "https://example.org/somebody/espalier"}
    mini.run("site", "build", "--no-local", "--url", places["url"], "--source", places["source"])
    told = mini.run("verify", "--site", "public").stdout
    assert "every file of public follows from the records, byte for byte" in told
    assert all(f"its address {place} is taken from it" in told for place in places.values())
    beat = mini.root / "public" / "static" / "heartbeat.js"
    beat.write_text(beat.read_text().replace("(0);", "(1764000000);"))  # as a runner does, which is no difference
    (mini.root / "public" / ".nojekyll").touch()
    page, table = mini.root / "public" / "methods" / "largest.html", mini.root / "public" / "data" / "records.csv"
    figure = re.search(r'<td class="figure">(\d+\.\d+)', page.read_text())
    assert figure is not None
    page.write_text(page.read_text().replace(figure[0], '<td class="figure">99.99', 1))
    table.write_text(table.read_text() + "one,more\n")
    (mini.root / "public" / "extra.html").write_text("")
    (mini.root / "public" / "methods.html").unlink()
    (mini.root / "public" / "data" / "records.parquet").write_bytes(b"\xff")
    found = mini.json("verify", "--site", "public", code=1)["site"]
    assert found["places"] == places
    lines = {one["file"]: one["what"] for one in found["differences"]}
    assert lines["methods/largest.html"].startswith("differs from line ")
    _, found_there, _, expected = lines["methods/largest.html"].split("'")[:4]
    assert (found_there.split()[0], expected.split()[0]) == ("99.99", figure[1])
    assert lines["data/records.csv"] == f"differs from line {len(table.read_text().splitlines())} on"
    assert lines["extra.html"] == "is not made from these records"
    assert lines["methods.html"] == "is missing"
    assert lines["data/records.parquet"] == "differs"
    assert len(lines) == 5
    assert "changed after it was built" in found["hint"]


def test_a_site_with_local_figures_is_no_published_one(mini: Miniature) -> None:
    assert "--no-local" in mini.json("verify", "--site", "public", code=1)["site"]["hint"]
    mini.run("verify", "--site", "public", "--local")
    forge(mini)
    told = mini.run("verify", "--site", "public", code=1).stdout
    assert "not compared: no site can be built of these records" in told


def everything(mini: Miniature) -> set[str]:
    folder = mini.root / ".espalier"
    kinds = ("artifacts", "prunings", "checkpoints")
    return {path.relative_to(folder).as_posix() for kind in kinds for path in (folder / kind).rglob("*") if path.is_file()}


def litter(mini: Miniature, age: float) -> set[str]:
    """What no record names, as old as that: an artifact, a pruning that names another, a checkpoint, half a file."""
    state, other = mini.root / ".espalier", digest_bytes(b"outcome")
    some = next((state / "prunings").rglob("*.json"))
    pruning = json.dumps(json.loads(some.read_text()) | {"outcome": other})
    files = {
        f"artifacts/{other[:2]}/{other}": "outcome",
        f"artifacts/{digest_bytes(b'x')[:2]}/{digest_bytes(b'x')}": "x",
        f"artifacts/00/.{'0' * 64}.17.part": "half",
        f"prunings/ab/{'ab' * 32}.json": pruning,
        f"checkpoints/{'cd' * 32}.json": "{}",
        f"checkpoints/{'cd' * 32}/training.safetensors": "tensors",
    }
    for name, content in files.items():
        path = state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (time.time() - age, time.time() - age))
    for folder in (state / "checkpoints").glob("*/"):
        os.utime(folder, (time.time() - age, time.time() - age))
    return set(files)


def grow_old(mini: Miniature) -> None:
    for path in (mini.root / ".espalier").rglob("*"):
        os.utime(path, (time.time() - OLD, time.time() - OLD))


def test_what_records_name_stays_however_old(mini: Miniature) -> None:
    """Published and local ones: the audit still finds its predictions, and no cell is pruned again."""
    before = everything(mini)
    assert before
    grow_old(mini)
    audit = mini.json("audit")
    assert "nothing to free" in mini.run("gc", "--keep-days", "0").stdout
    assert everything(mini) == before
    assert mini.json("audit") == audit
    assert audit["missing"] == []


def test_what_the_version_before_names_stays_too(mini: Miniature) -> None:
    """Its table is still shown, and its figures can still be audited."""
    before = everything(mini)
    aside = mini.root / "results" / "previous" / BENCHMARK
    aside.mkdir(parents=True)
    for path in (mini.root / "results" / BENCHMARK).glob("*.jsonl"):
        path.rename(aside / path.name)
    grow_old(mini)
    mini.run("gc")
    assert everything(mini) == before


def test_what_no_record_names_goes_once_it_is_old(mini: Miniature) -> None:
    before, new = everything(mini), litter(mini, age=86_400)
    assert mini.json("gc")["bytes"] == 0, "young"
    looked = mini.json("gc", "--keep-days", "0.5", "--dry-run")
    assert everything(mini) == before | new
    found = mini.json("gc", "--keep-days", "0.5")
    assert found == looked | {"dry_run": False}
    assert {kind: one["number"] for kind, one in found["kinds"].items()} == {
        "pruning": 1,
        "artifact": 2,
        "checkpoint": 1,
        "half-written file": 1,
    }
    assert everything(mini) == before
    assert not (mini.root / ".espalier" / "checkpoints" / ("cd" * 32)).exists()


def test_a_young_pruning_keeps_its_outcome(mini: Miniature) -> None:
    """However old that file is: a cell that waits for its score is not pruned twice."""
    litter(mini, age=OLD)
    os.utime(mini.root / ".espalier" / "prunings" / "ab" / f"{'ab' * 32}.json")
    mini.run("gc")
    outcome = digest_bytes(b"outcome")
    assert (mini.root / ".espalier" / "artifacts" / outcome[:2] / outcome).is_file()


def test_what_was_measured_again_goes(mini: Miniature) -> None:
    """Without their records, artifacts are garbage; those that the other store's name are not."""
    shutil.rmtree(mini.root / ".espalier" / "results")
    grow_old(mini)
    found = mini.json("gc")
    assert found["kinds"]["pruning"]["number"] == 4
    assert mini.json("audit", "--published")["missing"] == []
    mini.run("evaluate", "largest", "--benchmark", BENCHMARK, "--publish")


@pytest.mark.parametrize("store", ["results", ".espalier/results"])
def test_nothing_goes_while_an_evaluation_runs(mini: Miniature, store: str) -> None:
    before = everything(mini) | litter(mini, age=OLD)
    with held(mini.root / store):
        told = mini.run("gc", code=1).stderr
        assert mini.json("gc", "--dry-run")["bytes"] > 0
    assert "another evaluation" in told
    assert "wait for it" in told
    assert everything(mini) == before


def test_nothing_goes_while_records_cannot_be_read(mini: Miniature) -> None:
    litter(mini, age=OLD)
    before = everything(mini)
    the_file(mini).write_text("junk\n")
    assert "this line is not a record" in mini.run("gc", code=1).stderr
    assert everything(mini) == before


def test_other_stores_may_be_named(mini: Miniature) -> None:
    grow_old(mini)
    before = everything(mini)
    (mini.root / ".espalier" / "results").rename(mini.root / "elsewhere")
    mini.run("gc", "--store", "elsewhere")
    assert everything(mini) == before
    mini.run("gc")
    assert everything(mini) < before


def test_links_and_strangers_are_left_alone(mini: Miniature, tmp_path: Path) -> None:
    """Only what has a name of ours is removed, and nothing that a link leads to."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    artifacts = mini.root / ".espalier" / "artifacts"
    sha256 = digest_bytes(b"link")
    (artifacts / sha256[:2]).mkdir(exist_ok=True)
    (artifacts / sha256[:2] / sha256).symlink_to(outside)
    (artifacts / "notes.txt").write_text("mine")
    (artifacts / "zz").mkdir()
    (artifacts / "zz" / ("z" * 64)).write_text("mine")
    wrong = artifacts / "00" / sha256
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_text("in the wrong folder")
    subprocess.run(["touch", "-h", "-d", "2020-01-01", str(artifacts / sha256[:2] / sha256), str(wrong)], check=True)
    mini.run("gc", "--keep-days", "0")
    assert outside.read_text() == "precious"
    assert not (artifacts / sha256[:2] / sha256).is_symlink()
    assert (artifacts / "notes.txt").exists()
    assert (artifacts / "zz" / ("z" * 64)).exists()
    assert wrong.exists()


def test_what_check_refuses_is_measured_for_its_author_and_not_published(mini: Miniature) -> None:
    mini.submit("curious", "import socket\n    " + MAGNITUDE)
    told = mini.run("evaluate", "curious", "--benchmark", BENCHMARK, "--publish", code=2).stderr
    assert "curious would be refused" in told
    assert "`espalier check curious` lists what is wrong" in told
    assert not (mini.root / "results" / BENCHMARK / "curious.jsonl").exists()
    told = mini.run("evaluate", "curious", "--benchmark", BENCHMARK).stderr
    assert "what is measured of it stays with you" in told
    assert any(record["submission"] == "curious" for record in mini.records())
