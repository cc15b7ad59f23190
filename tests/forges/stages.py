"""The same project on any forge, as people see it: what the common suite plays on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

from evaluator.forges import Change, Forge, LocalForge, Token, open_forge, people
from evaluator.forges.limits import Timing
from tests.forges.flavours import FLAVOURS
from tests.forges.server import Server
from tests.forges.world import ME, SECRET, QuickClock, World


class Stage(Protocol):
    forge: Forge

    def propose(self, title: str = "A method", author: str = "ada") -> Change: ...
    def push(self, number: int) -> str: ...
    def say(self, number: int, by: str, body: str) -> None: ...
    def bodies(self, number: int) -> list[str]: ...
    def approve(self, number: int, by: str) -> None: ...
    def merge(self, number: int, how: people.How = "merge") -> str: ...
    def close(self, number: int) -> None: ...


class RestStage:
    """A REST forge before a server of ours."""

    def __init__(self, kind: str, timing: Timing | None = None) -> None:
        self.kind, self.world, self.clock = kind, World(), QuickClock()
        flavour = FLAVOURS[kind]
        self.server = Server(self.world, flavour, flavour.scheme)
        self.timing = timing or Timing(connect=2, read=2, whole=4)
        self.address = f"{kind}+{self.server.host}/ada/espalier"
        self.forge = self.open()

    def open(self, **more: object) -> Forge:
        token = Token(SECRET, "a test")
        return open_forge(self.address, token=token, **{"clock": self.clock, "timing": self.timing} | more)

    def propose(self, title: str = "A method", author: str = "ada") -> Change:
        return self.forge.change(self.world.propose(title, author).number)

    def push(self, number: int) -> str:
        return self.world.push(number)

    def say(self, number: int, by: str, body: str) -> None:
        self.world.say(number, by, body)

    def bodies(self, number: int) -> list[str]:
        return [one["body"] for one in self.world.proposals[number].comments]

    def approve(self, number: int, by: str) -> None:
        if self.kind == "gitlab":
            self.world.say(number, by, f"espalier approve {self.world.proposals[number].head}")
        else:
            self.world.review(number, by)

    def merge(self, number: int, how: people.How = "merge") -> str:
        """What main got."""
        rebases = "forward" if self.kind == "gitlab" and how == "rebase" else how  # GitLab rebases the change itself before
        return self.world.merge(number, rebases)

    def close(self, number: int) -> None:
        self.world.proposals[number].state = "closed"

    def end(self) -> None:
        self.forge.close()
        self.server.close()


class LocalStage:
    """A bare repository, and the checkout of somebody who contributes."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.checkout.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        self._commit("first")
        people.create(folder / "forge.git", self.checkout, maintainers=["maria"])
        self.forge = LocalForge(folder / "forge.git", login=ME)
        self._count = 0

    def propose(self, title: str = "A method", author: str = "ada") -> Change:
        self._git("checkout", "--quiet", "--detach", "main")
        self._new_commit()
        return people.open_change(self.forge, self.checkout, title=title, author=author)

    def push(self, number: int) -> str:
        self._git("checkout", "--quiet", "--detach", "main")
        self._new_commit()
        return people.push(self.forge, self.checkout, number).head

    def say(self, number: int, by: str, body: str) -> None:
        self.forge.say(self.forge.change(number), by, body)

    def bodies(self, number: int) -> list[str]:
        return [comment.body for comment in self.forge.comments(self.forge.change(number))]

    def approve(self, number: int, by: str) -> None:
        people.approve(self.forge, number, by)

    def merge(self, number: int, how: people.How = "merge") -> str:
        people.merge(self.forge, number, how=how)
        return subprocess.check_output(["git", "-C", str(self.forge.path), "rev-parse", "main"], text=True).strip()

    def close(self, number: int) -> None:
        people.close(self.forge, number)

    def end(self) -> None:
        self.forge.close()

    def _new_commit(self) -> None:
        self._count += 1
        self._commit(f"file-{self._count}")

    def _commit(self, name: str) -> None:
        (self.checkout / name).write_text(name)
        self._git("add", name)
        self._git("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", name)

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(self.checkout), *arguments], check=True, capture_output=True)
