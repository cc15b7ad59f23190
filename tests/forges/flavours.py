"""The REST interfaces as their makers document them, as much as is asked of them."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import unquote

from tests.forges.server import Asked, Missing, Reply
from tests.forges.world import ME, Proposal, World

WEB = "https://forge.example/ada/espalier"


class GitHubFlavour:
    """https://docs.github.com/rest: pulls, commit statuses, issue comments, reviews, collaborators."""

    prefix = "/api/v3"
    scheme = "Bearer"
    oldest: ClassVar = {"sort": "created", "direction": "asc"}
    unpaged_comments = False
    permission_of: ClassVar = {"admin": "admin", "write": "write", "read": "read"}
    state_name = "state"

    def __call__(self, world: World, asked: Asked) -> Reply:
        path = asked.path.removeprefix(self.prefix)
        if path == asked.path:
            raise Missing
        if (str(asked.method), path) == ("GET", "/user"):
            return Reply(200, {"login": ME.title()})
        rest = path.removeprefix("/repos/ada/espalier")
        for pattern, name in ROUTES:
            if found := re.fullmatch(pattern, f"{asked.method} {rest}"):
                return getattr(self, name)(world, asked, *found.groups())
        raise Missing

    def list_pulls(self, world: World, asked: Asked) -> Reply:
        wanted = ("open",) if asked.query["state"] == "open" else ("merged", "closed")
        found = [self.pull(p) for p in world.proposals.values() if p.state in wanted]
        if asked.query["sort"] != self.oldest["sort"]:
            found.reverse()
        return Reply(200, found)

    def get_pull(self, world: World, asked: Asked, number: str) -> Reply:
        return Reply(200, self.pull(_proposal(world, number)))

    def pull(self, p: Proposal) -> dict:
        return {
            "number": p.number,
            "title": p.title,
            "user": {"login": p.author} if p.author else None,
            "state": "open" if p.state == "open" else "closed",
            "head": {"sha": p.head, "ref": "patch", "repo": None},
            "base": {"ref": p.base},
            "merged_at": p.merged_at,
            "merge_commit_sha": p.made or "f" * 40,  # GitHub has one for open ones too: of the merge that it tried
            "html_url": f"{WEB}/pull/{p.number}",
        }

    def combined(self, world: World, asked: Asked, commit: str) -> Reply:
        last = {one["context"]: one for one in world.statuses.get(commit, [])}
        return Reply(200, {"state": "pending", "statuses": [self.status(one) for one in last.values()]})

    def status(self, one: dict) -> dict:
        return {"id": one["id"], self.state_name: one["state"], "description": one.get("description"),
                "target_url": one.get("target_url"), "context": one["context"]}  # fmt: skip

    def post_status(self, world: World, asked: Asked, commit: str) -> Reply:
        if commit not in {p.head for p in world.proposals.values()}:
            return Reply(422, {"message": f"No commit found for SHA: {commit}"})
        assert asked.content["state"] in ("error", "failure", "pending", "success")
        assert len(asked.content["description"]) <= 140
        return Reply(201, self.status(world.set_status(commit, asked.content)))

    def list_comments(self, world: World, asked: Asked, number: str) -> Reply:
        found = [self.comment(one) for one in _proposal(world, number).comments]
        return Reply(200, found, {"x-unpaged": "1"} if self.unpaged_comments else {})

    @staticmethod
    def comment(one: dict) -> dict:
        return {"id": one["id"], "user": {"login": one["by"]} if one["by"] else None, "body": one["body"]}

    def post_comment(self, world: World, asked: Asked, number: str) -> Reply:
        assert len(asked.content["body"]) <= 65536
        return Reply(201, self.comment(world.say(_proposal(world, number).number, ME, asked.content["body"])))

    def edit_comment(self, world: World, asked: Asked, identity: str) -> Reply:
        comment = _comment(world, identity)
        if comment["by"] != ME:
            return Reply(403, {"message": "Must have admin rights to Repository."})
        comment["body"] = asked.content["body"]
        return Reply(200, self.comment(comment))

    def delete_comment(self, world: World, asked: Asked, identity: str) -> Reply:
        comment = _comment(world, identity)
        for proposal in world.proposals.values():
            proposal.comments = [one for one in proposal.comments if one is not comment]
        return Reply(204)

    def list_reviews(self, world: World, asked: Asked, number: str) -> Reply:
        return Reply(200, [self.review(one) for one in _proposal(world, number).reviews])

    def review(self, one: dict) -> dict:
        state = "DISMISSED" if one["dismissed"] else one["state"]
        return {"id": one["id"], "user": {"login": one["by"]}, "state": state, "commit_id": one["commit"]}

    def permission(self, world: World, asked: Asked, login: str) -> Reply:
        if unquote(login) not in world.access:
            raise Missing
        return Reply(200, {"permission": self.permission_of[world.access[unquote(login)]]})


ROUTES = (
    (r"GET /pulls", "list_pulls"),
    (r"GET /pulls/(\d+)", "get_pull"),
    (r"GET /commits/(\w+)/status", "combined"),
    (r"POST /statuses/(\w+)", "post_status"),
    (r"GET /issues/(\d+)/comments", "list_comments"),
    (r"POST /issues/(\d+)/comments", "post_comment"),
    (r"PATCH /issues/comments/(\d+)", "edit_comment"),
    (r"DELETE /issues/comments/(\d+)", "delete_comment"),
    (r"GET /pulls/(\d+)/reviews", "list_reviews"),
    (r"GET /collaborators/([^/]+)/permission", "permission"),
)


class GiteaFlavour(GitHubFlavour):
    """Gitea's swagger: the same paths; a status's state is called status, comments come all at once."""

    prefix = "/api/v1"
    scheme = "token"
    oldest: ClassVar = {"sort": "oldest"}
    unpaged_comments = True
    permission_of: ClassVar = {"admin": "owner", "write": "write", "read": "read"}
    state_name = "status"

    def pull(self, p: Proposal) -> dict:
        merged = p.state == "merged"
        return super().pull(p) | {"merged": merged, "merge_commit_sha": p.made}

    def combined(self, world: World, asked: Asked, commit: str) -> Reply:
        return super().combined(world, asked, commit) if world.statuses.get(commit) else Reply(200)

    def review(self, one: dict) -> dict:
        state = {"CHANGES_REQUESTED": "REQUEST_CHANGES"}.get(one["state"], one["state"])
        return super().review(one) | {"state": state, "dismissed": one["dismissed"], "stale": False}


class GitLabFlavour:
    """https://docs.gitlab.com/api: merge requests, commit statuses, notes, members."""

    prefix = "/api/v4"
    scheme = "Bearer"
    levels: ClassVar = {"admin": 50, "write": 40, "read": 30}

    def __call__(self, world: World, asked: Asked) -> Reply:
        path = asked.path.removeprefix(self.prefix)
        if (asked.method, path) == ("GET", "/user"):
            return Reply(200, {"id": 7, "username": ME})
        rest = path.removeprefix("/projects/ada%2Fespalier")
        if rest == path:
            raise Missing
        for pattern, name in GITLAB_ROUTES:
            if found := re.fullmatch(pattern, f"{asked.method} {rest}"):
                return getattr(self, name)(world, asked, *found.groups())
        raise Missing

    def list_requests(self, world: World, asked: Asked) -> Reply:
        state = {"opened": "open"}.get(asked.query["state"], asked.query["state"])
        found = [self.request(p) for p in world.proposals.values() if p.state == state]
        return Reply(200, found if asked.query["sort"] == "asc" else found[::-1])

    def get_request(self, world: World, asked: Asked, number: str) -> Reply:
        return Reply(200, self.request(_proposal(world, number)))

    def request(self, p: Proposal) -> dict:
        return {
            "iid": p.number,
            "title": p.title,
            "author": {"username": p.author} if p.author else None,
            "sha": p.head,
            "target_branch": p.base,
            "state": "opened" if p.state == "open" else p.state,
            "merged_at": p.merged_at,
            "merge_commit_sha": p.made if p.how == "merge" else None,  # none where a project has no merge commits
            "squash_commit_sha": p.made if p.how == "squash" else None,
            "source_project_id": 2 if p.from_fork else 1,
            "target_project_id": 1,
            "source_branch": "patch",
            "web_url": f"{WEB}/-/merge_requests/{p.number}",
        }

    def list_statuses(self, world: World, asked: Asked, commit: str) -> Reply:
        last = {one["name"]: one for one in world.statuses.get(commit, [])}  # earlier ones are retried ones, not shown
        return Reply(200, [self.status(one) for one in last.values() if one["name"] == asked.query["name"]])

    @staticmethod
    def status(one: dict) -> dict:
        return {"id": one["id"], "status": one["state"], "name": one["name"], "description": one.get("description"),
                "target_url": one.get("target_url")}  # fmt: skip

    def post_status(self, world: World, asked: Asked, commit: str) -> Reply:
        """A state machine: what is running cannot be set running again."""
        if not asked.content.get("ref"):
            return Reply(404, {"message": "404 References for commit Not Found"})
        shown = [one for one in world.statuses.get(commit, []) if one["name"] == asked.content["name"]]
        if shown and shown[-1]["state"] == asked.content["state"] == "running":
            told = 'Cannot transition status via :run from :running (Reason(s): Status cannot transition via "run")'
            return Reply(400, {"message": told})
        return Reply(201, self.status(world.set_status(commit, asked.content)))

    def list_notes(self, world: World, asked: Asked, number: str) -> Reply:
        system = {"id": 0, "author": {"username": ME}, "body": "<!-- espalier:report -->\nadded 1 commit", "system": True}
        return Reply(200, [system, *(self.note(one) for one in _proposal(world, number).comments)])

    @staticmethod
    def note(one: dict) -> dict:
        return {"id": one["id"], "author": {"username": one["by"]}, "body": one["body"], "system": False}

    def post_note(self, world: World, asked: Asked, number: str) -> Reply:
        assert not re.search(r"^/", asked.content["body"], re.MULTILINE), "a quick action"
        return Reply(201, self.note(world.say(_proposal(world, number).number, ME, asked.content["body"])))

    def edit_note(self, world: World, asked: Asked, number: str, identity: str) -> Reply:
        comment = _comment(world, identity)
        comment["body"] = asked.content["body"]
        return Reply(200, self.note(comment))

    def delete_note(self, world: World, asked: Asked, number: str, identity: str) -> Reply:
        return GitHubFlavour.delete_comment(self, world, asked, identity)

    def members(self, world: World, asked: Asked) -> Reply:
        found = [
            {"username": login, "access_level": self.levels[access], "state": "active"}
            for login, access in world.access.items()
            if asked.query["query"] in login
        ]
        return Reply(200, found)


GITLAB_ROUTES = (
    (r"GET /merge_requests", "list_requests"),
    (r"GET /merge_requests/(\d+)", "get_request"),
    (r"GET /repository/commits/(\w+)/statuses", "list_statuses"),
    (r"POST /statuses/(\w+)", "post_status"),
    (r"GET /merge_requests/(\d+)/notes", "list_notes"),
    (r"POST /merge_requests/(\d+)/notes", "post_note"),
    (r"PUT /merge_requests/(\d+)/notes/(\d+)", "edit_note"),
    (r"DELETE /merge_requests/(\d+)/notes/(\d+)", "delete_note"),
    (r"GET /members/all", "members"),
)

FLAVOURS = {"github": GitHubFlavour(), "gitea": GiteaFlavour(), "gitlab": GitLabFlavour()}


def _proposal(world: World, number: str) -> Proposal:
    if int(number) not in world.proposals:
        raise Missing
    return world.proposals[int(number)]


def _comment(world: World, identity: str) -> dict:
    for proposal in world.proposals.values():
        for comment in proposal.comments:
            if comment["id"] == int(identity):
                return comment
    raise Missing
