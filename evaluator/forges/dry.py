"""A forge that is looked at and not touched."""

from __future__ import annotations

from collections.abc import Callable

from evaluator.forges.forge import Approval, Change, Forge, Source, Status


class DryRun:
    """Reads pass to the true forge; writes are told, in one line and what they would say, and not made."""

    def __init__(self, forge: Forge, tell: Callable[[str], None]) -> None:
        self._forge, self._tell = forge, tell

    @property
    def name(self) -> str:
        return self._forge.name

    def open_changes(self) -> list[Change]:
        return self._forge.open_changes()

    def merged_changes(self, limit: int = 30) -> list[Change]:
        return self._forge.merged_changes(limit)

    def change(self, number: int) -> Change:
        return self._forge.change(number)

    def source(self, change: Change) -> Source:
        return self._forge.source(change)

    def status(self, change: Change) -> Status | None:
        return self._forge.status(change)

    def set_status(self, change: Change, status: Status) -> None:
        link = f" ({status.target_url})" if status.target_url else ""
        self._tell(f"{self.name}: status of {change.head[:12]}, change {change.number}: "
                   f"{status.state}, {status.description}{link}")  # fmt: skip

    def comment(self, change: Change) -> str | None:
        return self._forge.comment(change)

    def upsert_comment(self, change: Change, text: str) -> None:
        self._tell(f"{self.name}: comment on change {change.number}:\n{text}")

    def approvals(self, change: Change) -> list[Approval]:
        return self._forge.approvals(change)

    def close(self) -> None:
        self._forge.close()
