"""`espalier new`: a submission to start from."""

from __future__ import annotations

import keyword
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from evaluator.canonical import write_atomically
from evaluator.check.problems import visible
from evaluator.commands.options import Root
from evaluator.errors import UsageError
from evaluator.grid.cells import Division
from evaluator.metadata import SLUG
from evaluator.records.record import DENSE
from evaluator.repository import Repository


class Kind(NamedTuple):
    """What the metadata of an example says; its code is in the template of the same name."""

    example: str
    division: Division
    stage: str
    criterion: str
    scope: str
    hyperparameters: dict[str, float]
    epochs: int = 0


class Like(StrEnum):
    """What an example starts from."""

    SCORE = "score"
    TRAINING = "training"
    STRUCTURED = "structured"
    PATTERN = "pattern"


KINDS = {
    Like.SCORE: Kind(
        *(
            "keeps the weights that are large for the layer that they are in.",
            "unstructured",
            "after",
            "magnitude",
            "global",
        ),
        {"balance": 0.5},
    ),
    Like.TRAINING: Kind(
        *("masks ever more of the smallest weights while it trains.", "unstructured", "during", "magnitude", "layer"),
        {"begin": 0.1, "end": 0.7},
        epochs=200,
    ),
    Like.STRUCTURED: Kind(
        *("keeps the channels whose filters are large for their group.", "structured", "after", "norm", "global"),
        {"balance": 1.0},
    ),
    Like.PATTERN: Kind(
        *("keeps the largest of every few neighbouring weights.", "semi-structured", "after", "magnitude", "row"),
        {"balance": 0.5},
    ),
}
LONGEST_TITLE = 200
TAKEN = ("ChannelGroup", "Job", "Pruned", "PruningMethod", "Step", "Tensor")
"""Names that a template imports."""


def new(
    slug: Annotated[str, typer.Argument(help="name of the folder: lower-case letters, digits and hyphens")],
    title: Annotated[str | None, typer.Option(help="name in tables and charts (default: made from the slug)")] = None,
    like: Annotated[
        Like, typer.Option(help="what the example does: score weights, train, remove channels, n of m")
    ] = Like.SCORE,
    root: Root = None,
) -> None:
    """Start a submission: a working example in submissions/SLUG that passes `espalier check`."""
    folder = create(Repository.find(root), slug, title, like)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    typer.echo(f"{visible(str(shown))}: a working method to change")
    typer.echo("  1. write the idea into method.py and the facts into metadata.yaml (TODO marks what is missing)")
    typer.echo(f"  2. espalier check {slug}")
    typer.echo(f"  3. espalier smoke {slug}")
    typer.echo(f"  4. pytest tests/submissions --submission {slug}")
    typer.echo(f"  5. espalier evaluate {slug} --tier smoke, then espalier site build: its page, beside the others")


def create(repository: Repository, slug: str, title: str | None = None, like: Like = Like.SCORE) -> Path:
    """Write the example into ``submissions/<slug>`` and return the folder.

    Raises:
        UsageError: the slug or the title cannot be used, or the folder exists.
    """
    _check_slug(slug)
    title = title if title is not None else slug.replace("-", " ").capitalize()
    if not title.strip() or len(title) > LONGEST_TITLE or visible(title) != title:
        fix = f"1 to {LONGEST_TITLE} visible characters on one line"
        raise UsageError(f"'{visible(title)[:LONGEST_TITLE]}' cannot be a title", fix=fix)
    folder = repository.submissions / slug
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"submissions/{slug} exists already", where=folder, fix="choose another slug, or change its files")
    texts = _render(repository.templates / "submission", slug, title, like)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return folder


def _check_slug(slug: str) -> None:
    if re.fullmatch(SLUG, slug) and slug != DENSE:
        return
    wrong = next(
        reason
        for broken, reason in (
            (len(slug) < 2, "is too short (2 characters at least)"),
            (len(slug) > 40, "is too long (40 characters at most)"),
            (slug == DENSE, "stands for the dense control"),
            (slug.startswith("-"), "starts with a hyphen"),
            (slug.endswith("-"), "ends with a hyphen"),
            (True, "holds other characters than lower-case letters, digits and hyphens"),
        )
        if broken
    )
    suggestion = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")[:40].rstrip("-")
    fix = f"e.g. {suggestion}" if len(suggestion) > 1 else "e.g. my-method"
    raise UsageError(f"the slug '{visible(slug)[:60]}' {wrong}", fix=fix)


def _render(templates: Path, slug: str, title: str, like: Like) -> dict[str, str]:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701  (the output is YAML and Python; every value is quoted for them)
        loader=FileSystemLoader(templates), undefined=StrictUndefined, keep_trailing_newline=True
    )
    values = {"slug": slug, "title": title, "class_name": class_name(slug), "kind": KINDS[like]}
    templates_of = {"metadata.yaml": "metadata.yaml.jinja", "method.py": f"{like}.py.jinja"}
    return {name: environment.get_template(template).render(values) for name, template in templates_of.items()}


def class_name(slug: str) -> str:
    """A name for the class: ``my-method`` -> ``MyMethod``."""
    name = "".join(part.capitalize() for part in slug.split("-"))
    if not name.isidentifier() or keyword.iskeyword(name) or name in TAKEN:
        name = f"Method{name}"
    return name
