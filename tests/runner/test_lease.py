"""Who works: one runner at a time, whatever ends and whoever is first."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluator.errors import ForgeError
from evaluator.runner.git import Clone
from evaluator.runner.lease import REF, Lease
from tests.runner.project import git


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease(clone: Clone, owner: str, clock: Clock) -> Lease:
    return Lease(clone, owner, seconds=900, now=clock)


def test_one_has_it_until_it_gives_it_back(clone: Clone, clock: Clock) -> None:
    one, other = lease(clone, "one", clock), lease(clone, "other", clock)
    assert one.take()
    assert not other.take()
    held = other.holder()
    assert held is not None
    assert (held.owner, held.until) == ("one", clock.seconds + 900)
    other.give_back()
    assert not other.take(), "what another has cannot be given back"
    one.give_back()
    assert one.holder() is None
    assert other.take()


def test_a_restart_goes_on_with_what_it_had(clone: Clone, clock: Clock) -> None:
    assert lease(clone, "one", clock).take()
    assert lease(clone, "one", clock).take()


def test_the_lease_of_a_dead_runner_ends(clone: Clone, clock: Clock) -> None:
    one, other = lease(clone, "one", clock), lease(clone, "other", clock)
    one.take()
    clock.seconds += 899
    assert not other.take()
    clock.seconds += 2
    assert other.take()
    assert not one.keep(), "it was too late to renew"


def test_it_is_renewed_when_a_third_is_over(clone: Clone, clock: Clock) -> None:
    one, other = lease(clone, "one", clock), lease(clone, "other", clock)
    one.take()
    for _ in range(10):
        clock.seconds += 301
        assert one.keep()
        assert not other.take()


def test_a_project_out_of_reach_for_a_moment_costs_no_lease(clone: Clone, clock: Clock, project: Path) -> None:
    """Only where the end is near: another runner may take it then."""
    one = lease(clone, "one", clock)
    one.take()
    away = project.rename(project.with_name("away"))
    clock.seconds += 301
    assert one.keep()
    clock.seconds += 301
    with pytest.raises(ForgeError):
        one.keep()
    away.rename(project)
    assert one.keep()


def test_of_two_at_once_one_gets_it(clone: Clone, clock: Clock, project: Path, tmp_path: Path) -> None:
    """Both have looked before either pushes."""
    elsewhere = Clone(tmp_path / "elsewhere.git", str(project))
    elsewhere.open()
    one, other = lease(clone, "one", clock), lease(elsewhere, "other", clock)
    looked = other._look()
    assert one.take()
    other._look = lambda: looked  # type: ignore[method-assign]
    assert not other.take()
    held = one.holder()
    assert held is not None
    assert held.owner == "one"


def test_one_that_is_given_back_while_another_looks_is_free(
    clone: Clone, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = lease(clone, "one", clock), lease(clone, "other", clock)
    assert one.take()
    fetch = clone.fetch

    def too_late(*arguments: str) -> str:
        monkeypatch.undo()
        one.give_back()
        return fetch(*arguments)

    monkeypatch.setattr(clone, "fetch", too_late)
    assert other.take()


def test_what_is_no_lease_is_replaced(clone: Clone, clock: Clock, tmp_path: Path) -> None:
    git(tmp_path / "author", "push", "--quiet", "origin", f"HEAD:{REF}")
    assert lease(clone, "one", clock).take()


def test_a_project_that_cannot_be_pushed_to_says_so(clone: Clone, clock: Clock, project: Path) -> None:
    git(project, "config", "receive.hideRefs", "refs/espalier")
    with pytest.raises(ForgeError, match="lease"):
        lease(clone, "one", clock).take()
