"""What of a plan is for a machine like this one: every tier names the class of device whose figures it publishes."""

from __future__ import annotations

from dataclasses import replace

from evaluator.grid import Grid
from evaluator.plan import Plan, Planned


def device_classes(plan: Plan, grid: Grid) -> set[str]:
    """Classes of device that the tiers of what there is to do name."""
    return {grid.tiers[grid.benchmarks[planned.cell.benchmark].tier].device_class for planned in plan.todo}


def only_here(plan: Plan, grid: Grid, *here: str) -> Plan:
    """The plan with nothing to do for the tiers that are for other classes of device than those ``here``, and why."""

    def settle(planned: Planned) -> Planned:
        tier = grid.benchmarks[planned.cell.benchmark].tier
        wanted = grid.tiers[tier].device_class
        if not planned.todo or wanted in here:
            return planned
        reason = f"the tier {tier} is for {wanted}, this is {' and '.join(here)}: --tier {tier}"
        return replace(planned, todo=(), reasons=(reason,))

    return replace(plan, cells=[settle(planned) for planned in plan.cells])
