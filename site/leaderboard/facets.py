"""What tells methods apart beside their figures: the survey's facets, and what a method asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evaluator.metadata import Facets, Metadata, Needs, Submission

NEEDS = ("data", "labels", "gradients", "training")
"""What a method may ask for, by the words in which a reader leaves it out."""
Traits = dict[str, str | list[str]]


@dataclass(frozen=True)
class Facet:
    """One facet with the values that occur, in alphabetical order."""

    name: str
    title: str
    values: list[str]


@dataclass(frozen=True)
class Choice:
    """What the methods of one list can be filtered by; a facet in which all are alike is left out."""

    facets: list[Facet]
    needs: list[str]


def needs(asked: Needs) -> list[str]:
    """What a method asks for, in the order of ``NEEDS``."""
    return [name for name in NEEDS if (asked.training_epochs if name == "training" else getattr(asked, name))]


def traits(metadata: Metadata) -> Traits:
    """Facets and needs of one method, for the page's script."""
    own = metadata.facets.model_dump()
    return {"division": metadata.division, "stage": metadata.stage, **own, "needs": needs(metadata.needs)}


def all_traits(submissions: Mapping[str, Submission], slugs: Iterable[str]) -> dict[str, Traits]:
    """Slug -> traits, of the methods that have metadata."""
    return {slug: traits(submissions[slug].metadata) for slug in slugs if slug in submissions}


def choice(known: Mapping[str, Traits]) -> Choice:
    """What tells the methods apart."""
    found = []
    for name in Facets.model_fields:
        values = sorted({str(one[name]) for one in known.values()})
        if len(values) > 1:
            found.append(Facet(name, name.replace("_", " ").capitalize(), values))
    asked = [name for name in NEEDS if 0 < sum(name in one["needs"] for one in known.values()) < len(known)]
    return Choice(found, asked)
