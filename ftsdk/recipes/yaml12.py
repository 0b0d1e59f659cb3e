"""YAML of specs: YAML 1.2's numbers and words, no key twice, and nothing that grows without bound."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import yaml

from ftsdk.errors import SpecError
from ftsdk.spec.base import MAX_DEPTH, MAX_NODES

MAX_BYTES: Final = 1 << 18


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number and `on` as text, as YAML 1.2 does; PyYAML follows YAML 1.1.

    A duplicate key is an error; PyYAML would silently use the last one.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; raises ConstructorError for a duplicate key."""
        names: set[str] = set()
        for key in (key for key, _ in node.value if key.tag == "tag:yaml.org,2002:str"):
            if key.value in names:
                why = f"the key '{key.value}' appears twice"
                raise yaml.constructor.ConstructorError(None, None, why, key.start_mark)
            names.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Build a value; raises ConstructorError for one that is none, such as the date 2024-13-01."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, LookupError, TypeError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            why = f"'{node.value!s:.40}' is no {kind}; put it into quotes if it is text"
            raise yaml.constructor.ConstructorError(None, None, why, node.start_mark) from None


_Loader.yaml_implicit_resolvers = {
    first: [kind for kind in kinds if first not in "oO" or not kind[0].endswith(":bool")]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(text: str, *, where: str) -> object:
    """The value of a YAML text. `where` names it in errors. Raises SpecError with the line of a mistake."""
    if len(text) > MAX_BYTES:
        raise SpecError(f"{where} has {len(text)} characters; a spec has at most {MAX_BYTES}: is it another file?")
    try:
        _check_size(yaml.parse(text, Loader=_Loader))
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as problem:
        raise SpecError(f"{where} is not valid YAML: {_position(problem)}.") from problem


def _check_size(events: Iterable[yaml.Event]) -> None:
    """Count the nodes with every alias expanded, before anything is built: ten lines of aliases may stand for 10**9."""
    sizes: dict[str, int | None] = {}
    open_nodes: list[tuple[str | None, int]] = []
    count = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            sizes |= {event.anchor: None} if event.anchor else {}
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes |= {anchor: count - before} if anchor else {}
        elif isinstance(event, yaml.AliasEvent):
            count += _size_of(event, sizes)
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        if count > MAX_NODES or len(open_nodes) > MAX_DEPTH:
            what = f"{MAX_NODES} values" if count > MAX_NODES else f"{MAX_DEPTH} levels"
            raise _at(event, f"it has more than {what}")


def _size_of(event: yaml.AliasEvent, sizes: dict[str, int | None]) -> int:
    size = sizes.get(str(event.anchor), 1)  # one that is not defined is the loader's to refuse
    if size is None:
        raise _at(event, "a value contains itself")
    return size


def _at(event: yaml.Event, why: str) -> yaml.YAMLError:
    mark = event.start_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return yaml.YAMLError(where + why)


def _position(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + str(getattr(problem, "problem", None) or problem).splitlines()[0]
