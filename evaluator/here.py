"""What of a plan is for a machine like this one: every tier names the class of device whose figures it publishes."""

from __future__ import annotations

from dataclasses import replace

from evaluator.grid import Grid
from evaluator.plan import Plan, Planned
from evaluator.setting import Setting


def device_classes(plan: Plan, grid: Grid) -> set[str]:
    """Classes of device that the tiers of what there is to do name."""
    return {grid.tiers[grid.benchmarks[planned.cell.benchmark].tier].device_class for planned in plan.todo}


def only_here(plan: Plan, setting: Setting) -> Plan:
    """The plan with nothing to do for the tiers that are for another class of device than this one, and why."""
    grid, here = setting.grid, setting.environment.device_class

    def settle(planned: Planned) -> Planned:
        tier = grid.benchmarks[planned.cell.benchmark].tier
        wanted = grid.tiers[tier].device_class
        if not planned.todo or wanted == here:
            return planned
        return replace(planned, todo=(), reasons=(f"the tier {tier} is for {wanted}, this is {here}: --tier {tier}",))

    return replace(plan, cells=[settle(planned) for planned in plan.cells])
