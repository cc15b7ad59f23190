"""Checks of metadata.yaml: its schema with lines, and what no schema says."""

from __future__ import annotations

import difflib
import keyword
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import BaseModel, ValidationError

from evaluator.check.problems import Problem, error, quoted, warning
from evaluator.check.yaml_text import Document, Place, read_yaml
from evaluator.metadata import Metadata

FORMS = {
    "slug": "2 to 40 lower-case letters, digits and hyphens, starting and ending with a letter or digit",
    "arxiv": 'the number alone, in quotes: "1506.02626"',
    "doi": "the identifier alone: 10.1109/TPAMI.2024.3447085",
    "url": "an address that starts with https:// and holds no spaces",
}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
SENTENCES = range(2, 9)
"""Full stops of a summary, those of abbreviations and numbers too."""


def check_metadata(path: Path, text: str, folder: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The values of the file (None where it is no mapping) and every problem of it."""
    document = read_yaml(path, text)
    values = document.values
    if not isinstance(values, dict):
        if not document.problems:
            fix = "write one `field: value` on each line; `espalier new` shows how"
            document.problems.append(error(path, 1, "not-a-mapping", "the file is not a list of fields", fix))
        return None, document.problems
    problems = [*document.problems, *_schema(path, document), *_slug(path, document, folder)]
    problems += [*_hyperparameters(path, document), *_texts(path, document, text)]
    if not any(problem.severity == "error" for problem in problems):
        metadata = Metadata.model_validate(values)
        problems += [*_consistency(path, document, metadata), *_telling(path, document, metadata)]
    return values, problems


def _schema(path: Path, document: Document) -> Iterator[Problem]:
    try:
        Metadata.model_validate(document.values)
    except ValidationError as failure:
        seen: set[Place] = set()
        for item in failure.errors(include_url=False, include_input=False):
            place = item["loc"]
            if place[:1] == ("hyperparameters",):
                place = place[:2]  # what follows names the types of the union that were tried
            if place not in seen and not _reported(document, path, place):
                seen.add(place)
                yield _violation(path, document, place, item["type"], item["msg"])


def _reported(document: Document, path: Path, place: Place) -> bool:
    """Whether the text itself is faulty at this place, so that the schema's complaint would only repeat it."""
    known = {problem.line for problem in document.problems if problem.path == path}
    return place in document.lines and document.lines[place] in known


def _violation(path: Path, document: Document, place: Place, kind: str, message: str) -> Problem:
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    shown, line = quoted(name), document.line(place)
    if kind == "missing":
        meaning = _description(place)
        return error(
            path, document.line(place[:-1]), "missing-field", f"{shown} is missing", f"add `{place[-1]}:` ({meaning})"
        )
    if kind == "extra_forbidden":
        known = sorted(_fields(place[:-1]))
        near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.6)
        fix = f"did you mean {near[0]}?" if near else f"the fields here are {', '.join(known)}"
        return error(path, line, "unknown-field", f"there is no field {shown}", fix)
    written = document.written.get(place)
    if kind == "string_type" and written is not None:
        fix = (
            f'put it in quotes: {place[-1]}: "{written}"'
            if len(written) < 40 and isinstance(place[-1], str)
            else "put it in quotes"
        )
        return error(path, line, "not-text", f"{shown} is not read as text: YAML takes it for another kind of value", fix)
    if place[:1] == ("hyperparameters",) and len(place) > 1:
        fix = "a hyper-parameter is a finite number, true, false or a text"
        return error(path, line, "invalid-value", f"{shown} {quoted(written or '')} is not a hyper-parameter's value", fix)
    if kind in ("model_type", "dict_type", "list_type"):
        return error(path, line, "invalid-value", *_kind(place, shown, kind))
    reason = message.removeprefix("Value error, ")
    fix = FORMS.get(str(place[-1]) if place else "") or _description(place) or "see the fields in CONTRIBUTING.md"
    if kind.startswith("bool_"):
        fix = f"write true or false ({fix})"
    if written is not None and kind == "literal_error":
        choices = re.findall(r"'([^']+)'", message)
        near = difflib.get_close_matches(written, choices, n=1, cutoff=0.6)
        fix = f"did you mean {near[0]}?" if near else fix
    value = f" {quoted(written)}" if written is not None else ""
    return error(path, line, "invalid-value", f"{shown}{value}: {reason[:1].lower()}{reason[1:]}", fix)


def _kind(place: Place, shown: str, kind: str) -> tuple[str, str]:
    """What is wrong and its remedy where a list or fields should be."""
    if kind == "list_type":
        return f"{shown} is no list", f"write a list: `{place[-1]}: [..., ...]`, or one `- ...` on each line below"
    known = ", ".join(_fields(place)) or "name: value"
    return f"{shown} has no fields", f"write its fields on lines of their own below it, indented: {known}"


def _model(place: Place) -> type[BaseModel] | None:
    """The model that describes the mapping at ``place``; None where there is none."""
    model: type[BaseModel] = Metadata
    for part in place:
        if isinstance(part, int):
            continue
        if part not in model.model_fields:
            return None
        inner = _model_within(model.model_fields[part].annotation)
        if inner is None:
            return None
        model = inner
    return model


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((model for part in typing.get_args(annotation) if (model := _model_within(part))), None)


def _fields(place: Place) -> list[str]:
    model = _model(place)
    return list(model.model_fields) if model else []


def _description(place: Place) -> str:
    names = [part for part in place if isinstance(part, str)]
    model = _model(tuple(names[:-1])) if names else None
    known = model.model_fields.get(names[-1]) if model else None
    return (known.description or "") if known else ""


def _slug(path: Path, document: Document, folder: str) -> Iterator[Problem]:
    slug = document.values.get("slug")
    if isinstance(slug, str) and slug != folder:
        message = f"the slug {quoted(slug)} is not the folder's name {quoted(folder)}"
        yield error(path, document.line(("slug",)), "slug-folder", message, "rename one of the two")


def _hyperparameters(path: Path, document: Document) -> Iterator[Problem]:
    values = document.values.get("hyperparameters")
    for name, value in values.items() if isinstance(values, dict) else ():
        line = document.line(("hyperparameters", name))
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name == "prune":
            fix = "use a Python name that does not start with an underscore; it becomes an attribute of the method"
            yield error(path, line, "hyperparameter-name", f"{quoted(name)} cannot be the name of a hyper-parameter", fix)
        if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
            fix = "remove the quotes, and write an exponent with a point and a sign: 1.0e-5"
            yield error(
                path, line, "number-as-text", f"{quoted(name)} is read as text, {quoted(value)}, not as a number", fix
            )


def _texts(path: Path, document: Document, text: str) -> Iterator[Problem]:
    marked = {number for number, line in enumerate(text.splitlines(), 1) if "# TODO" in line}
    for place, written in document.written.items():
        name = ".".join(map(str, place))
        if "TODO" in written or document.line(place) in marked:
            yield warning(path, document.line(place), "placeholder", f"{quoted(name)} is still to be filled in", "write it")
        if not written.strip() and place[-1:] != ("venue",) and _description(place):
            yield error(path, document.line(place), "empty-text", f"{quoted(name)} is empty", _description(place))


def _consistency(path: Path, document: Document, metadata: Metadata) -> Iterator[Problem]:
    """What single fields cannot show; ``metadata`` is valid."""
    needs, facets = metadata.needs, metadata.facets
    if (needs.labels or needs.gradients) and not needs.data:
        fix = "set needs.data: true"
        yield error(path, document.line(("needs", "data")), "needs", "labels and gradients come with data", fix)
    if needs.gradients and not needs.labels:
        fix = "set needs.labels: true; or, where no true label is read, needs.gradients: false and torch.autograd.grad"
        message = "needs.gradients is for gradients of the loss on true labels, but needs.labels is false"
        yield error(path, document.line(("needs", "labels")), "needs", message, fix)
    if (facets.data_use != "none") != needs.data:
        message = f"facets.data_use is {facets.data_use}, but needs.data is {str(needs.data).lower()}"
        yield error(path, document.line(("facets", "data_use")), "facets", message, "make the two agree")
    if (facets.supervision != "none") != needs.labels:
        message = f"facets.supervision is {facets.supervision}, but needs.labels is {str(needs.labels).lower()}"
        yield error(path, document.line(("facets", "supervision")), "facets", message, "make the two agree")
    if metadata.stage != "after" and (metadata.stage == "during") != bool(needs.training_epochs):
        fix = "a method that prunes during training owns it; set a number above 0"
        fix = fix if metadata.stage == "during" else "set 0, or stage: during"
        message = f"stage is {metadata.stage}, but needs.training_epochs is {needs.training_epochs:g}"
        yield error(path, document.line(("needs",)), "needs", message, fix)
    if needs.training_epochs and not needs.labels:
        fix = "set needs.data and needs.labels to true"
        yield error(path, document.line(("needs",)), "needs", "training uses labelled data", fix)
    try:
        canonicalize_license_expression(metadata.licence)
    except InvalidLicenseExpression:
        fix = "e.g. MIT, Apache-2.0 or BSD-3-Clause; see spdx.org/licenses"
        yield warning(path, document.line(("licence",)), "licence", f"{quoted(metadata.licence)} is no SPDX identifier", fix)
    for index, number in enumerate(metadata.reported):
        if metadata.division != "semi-structured" and number.compression is None and number.speedup is None:
            line = document.line(("reported", index))
            yield warning(path, line, "reported", "a number without compression or speedup", "say at which it was reached")


def _telling(path: Path, document: Document, metadata: Metadata) -> Iterator[Problem]:
    """What the project's own tests ask of every submission beyond its schema."""
    if not metadata.deviations:
        fix = "list how the code deviates from the paper, or say that it does not; the tests ask for it"
        yield warning(path, document.line(("deviations",)), "no-deviations", "no deviations are stated", fix)
    if (sentences := metadata.summary.count(".")) not in SENTENCES:
        fix = "tell the idea in two to four sentences; the tests ask for it"
        message = f"the summary is too {'short' if sentences < SENTENCES.start else 'long'} to explain the method"
        yield warning(path, document.line(("summary",)), "summary-length", message, fix)
