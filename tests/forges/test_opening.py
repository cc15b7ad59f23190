"""Which forge an address means."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evaluator.errors import ForgeError, UsageError
from evaluator.forges import LocalForge, Token, open_forge
from evaluator.forges.gitea import Gitea
from evaluator.forges.github import GitHub
from evaluator.forges.gitlab import GitLab
from tests.forges.world import SECRET
from tests.miniature import ROOT


@pytest.mark.parametrize(
    ("where", "kind", "base", "path", "clone"),
    [
        ("https://github.com/ada/espalier", GitHub, "https://api.github.com", "/repos/ada/espalier", None),
        ("https://GitHub.com/ada/espalier.git/", GitHub, "https://api.github.com", "/repos/ada/espalier",
         "https://github.com/ada/espalier.git"),
        ("github+https://git.example.org/a/b", GitHub, "https://git.example.org/api/v3", "/repos/a/b", None),
        ("https://codeberg.org/ada/espalier", Gitea, "https://codeberg.org/api/v1", "/repos/ada/espalier", None),
        ("gitea+https://h.example/code/ada/espalier", Gitea, "https://h.example/code/api/v1", "/repos/ada/espalier",
         "https://h.example/code/ada/espalier.git"),
        ("forgejo+http://localhost:3000/ada/espalier", Gitea, "http://localhost:3000/api/v1", "/repos/ada/espalier", None),
        ("https://gitlab.com/a/b/espalier", GitLab, "https://gitlab.com/api/v4", "/projects/a%2Fb%2Fespalier", None),
        ("gitlab+http://[::1]:80/a/b", GitLab, "http://[::1]:80/api/v4", "/projects/a%2Fb", None),
    ],
)  # fmt: skip
def test_addresses(where, kind, base, path, clone):
    forge = open_forge(where, token=Token(SECRET, "a test"))
    assert type(forge) is kind
    assert forge._client.base == base
    assert path in (getattr(forge, "_repo", None), getattr(forge, "_project", None))
    assert clone is None or f"{forge._web}.git" == clone
    forge.close()


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("https://git.example.org/ada/espalier", "what kind of forge.*\n.*gitea\\+https"),
        ("sourcehut+https://sr.ht/ada/espalier", "what kind of forge"),
        ("http://github.com/ada/espalier", "https only"),
        ("gitea+http://10.0.0.1/ada/espalier", "https only"),
        ("ssh://git@github.com/ada/espalier", "leave it out"),
        ("git+ssh://github.com/ada/espalier", "https only"),
        ("https://github.com/espalier", "does not name a project"),
        ("https://github.com/ada/esp?alier=1", "does not name a project"),
        ("https://github.com/ada/esp%2e", "does not name a project"),
    ],
)
def test_addresses_that_are_none(where, told):
    with pytest.raises(UsageError, match=f"(?s){told}"):
        open_forge(where, token=Token(SECRET, "a test"))


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(UsageError) as caught:
        open_forge(f"https://ada:{SECRET}@github.com/ada/espalier")
    assert SECRET not in str(caught.value)


def test_a_folder_is_a_local_forge(local):
    for where in (local.forge.path, str(local.forge.path), f"file://{local.forge.path}"):
        assert isinstance(open_forge(where), LocalForge)


@pytest.mark.parametrize("where", ["nowhere", "."])
def test_a_folder_that_is_no_bare_repository(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ForgeError, match="not a bare git repository"):
        open_forge(where)


def test_forges_load_neither_pytorch_nor_httpx():
    code = "import sys, evaluator.forges; sys.exit(bool({'torch', 'httpx', 'pandas'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=ROOT)
