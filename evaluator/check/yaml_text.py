"""YAML as far as a metadata file needs it: plain values, each with its line; every fault of the text reported.

Anchors, aliases, tags, merge keys and several documents are refused: metadata has no use for them, and they are how a
small file becomes a large or a surprising one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from evaluator.characters import hidden
from evaluator.check.problems import Problem, error, quoted
from evaluator.metadata import LOADER

DEEPEST = 8
LARGEST_INTEGER = 2**63
Place = tuple[str | int, ...]
"""Where a value is: field names and list indices from the top."""


@dataclass
class Document:
    """The values of a file, the line of each and the scalars as they are written."""

    values: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of the value at ``place``, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(path: Path, text: str) -> Document:
    """Parse ``text``; its ``values`` are None where it is not YAML."""
    document = Document()
    try:
        document.problems += _refused(path, text)
        if not document.problems:
            node = yaml.compose(text, Loader=LOADER)
            document.lines[()] = 1
            document.values = _value(path, node, (), document) if node else None
    except yaml.YAMLError as failure:
        mark = getattr(failure, "problem_mark", None) or getattr(failure, "context_mark", None)
        reason = getattr(failure, "problem", None) or getattr(failure, "reason", None) or "it cannot be parsed"
        fix = 'indent with spaces; put text that holds ": " or starts with a special character in quotes'
        document.problems.append(error(path, mark.line + 1 if mark else 1, "not-yaml", f"not YAML: {reason}", fix))
    return document


def _refused(path: Path, text: str) -> list[Problem]:
    """What the grammar allows and a metadata file must not hold; found before anything is built from it."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=LOADER):
        line = _line(event)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > DEEPEST:
            return [
                error(path, line, "yaml-depth", f"nested more than {DEEPEST} deep", "metadata is two or three levels deep")
            ]
        if documents > 1:
            return [error(path, line, "yaml-documents", "a second document starts here", "remove the line ---")]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            return [error(path, line, "yaml-alias", "anchors and aliases are not allowed", "write the value out")]
        tag = getattr(event, "tag", None)
        if tag:
            return [error(path, line, "yaml-tag", f"the tag {quoted(tag)} is not allowed", "write a plain value")]
    return []


def _value(path: Path, node: yaml.Node, place: Place, document: Document) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(path, node, place, document)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            document.lines[*place, index] = _line(item)
        return [_value(path, item, (*place, index), document) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        document.written[place] = node.value
        return _scalar(path, node, document)
    return None


def _mapping(path: Path, node: yaml.MappingNode, place: Place, document: Document) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, item in node.value:
        line = _line(key)
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            fix = "write `name: value`; YAML takes words such as on, yes and no, and numbers, for values"
            document.problems.append(error(path, line, "yaml-key", "a field's name is a plain word", fix))
            continue
        name = key.value
        if name in values:
            first = document.lines[*place, name]
            message = f"{quoted(name)} is given twice, first on line {first}"
            document.problems.append(error(path, line, "duplicate-field", message, "remove one of the two"))
            continue
        document.lines[*place, name] = line
        values[name] = _value(path, item, (*place, name), document)
    return values


def _scalar(path: Path, node: yaml.ScalarNode, document: Document) -> Any:
    line = _line(node)
    try:
        value = SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError) as failure:
        message = f"{quoted(node.value)} is not a value: {quoted(failure)}"
        document.problems.append(error(path, line, "not-a-value", message, "put it in quotes if it is text"))
        return None
    if isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
        message = f"{quoted(node.value)} is too large a number"
        document.problems.append(error(path, line, "huge-number", message, "use a number of at most 18 digits"))
        return None
    if isinstance(value, str) and any(map(hidden, value)):
        message = f"{quoted(value)} holds an invisible character"
        document.problems.append(error(path, line, "hidden-character", message, "remove it"))
    return value


def _line(thing: Any) -> int:
    """The line, from 1, at which a node or an event of YAML starts."""
    return int(thing.start_mark.line) + 1
