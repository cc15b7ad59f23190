"""Work in another process: its outcome, its error, and its end come back."""

from __future__ import annotations

import os

import pytest
from leaderboard.aside import aside
from leaderboard.errors import SiteError


def test_the_outcome_comes_from_another_process():
    gathered = {"a": 1}
    with aside(lambda: (gathered["a"], os.getpid())) as outcome:
        gathered["a"] = 2
        found, process = outcome()
    assert found == 1
    assert process != os.getpid()


def test_what_is_not_worth_another_process_is_done_here():
    with aside(os.getpid, worthwhile=False) as outcome:
        assert outcome() == os.getpid()


def test_an_error_is_raised_where_the_outcome_is_waited_for():
    def work():
        raise SiteError("no", where="there")

    with aside(work) as outcome, pytest.raises(SiteError, match="no"):
        outcome()


def test_a_process_that_dies_is_noticed():
    with aside(lambda: os._exit(7)) as outcome, pytest.raises(SiteError, match="ended with 7"):
        outcome()
