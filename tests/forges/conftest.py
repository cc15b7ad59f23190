"""Stages: every kind of forge with the same project on it."""

from __future__ import annotations

import pytest

from tests.forges.stages import LocalStage, RestStage


@pytest.fixture(params=["local", "github", "gitea", "gitlab"])
def stage(request, tmp_path):
    built = LocalStage(tmp_path) if request.param == "local" else RestStage(request.param)
    yield built
    built.end()


@pytest.fixture(params=["github", "gitea", "gitlab"])
def rest(request):
    built = RestStage(request.param)
    yield built
    built.end()


@pytest.fixture
def github():
    built = RestStage("github")
    yield built
    built.end()


@pytest.fixture
def gitlab():
    built = RestStage("gitlab")
    yield built
    built.end()


@pytest.fixture
def local(tmp_path):
    return LocalStage(tmp_path)
