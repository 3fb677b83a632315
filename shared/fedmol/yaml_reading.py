"""YAML as settings are written in it: small, without aliases, nothing said twice, and numbers as they look."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from fedmol import files
from fedmol.documents import DEEPEST, DocumentError

LARGEST = 2**18  # bytes: the settings of thousands of sites
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")


_PROBLEMS = {  # of PyYAML
    "expected <block end>": "it does not begin in the same column as the entries before it",
    "'\\t'": "a tab stands where blanks belong",
    "mapping values are not allowed": "a colon is too many, or the line does not begin in the column where it should",
    "could not find expected ':'": "an entry has no colon after its name",
    "got '<stream end>'": "a bracket or brace is not closed",
}


class _Loader(yaml.SafeLoader):
    """Refuses aliases: a few lines of them unfold to millions of entries."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise DocumentError(f"line {self.line + 1} or before has an alias: write out what it stands for")
        self.depth += 1
        if self.depth > DEEPEST:
            raise DocumentError(f"it is nested more than {DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in names:
                raise DocumentError(f"line {key.start_mark.line + 1} says {key.value[:80]!r} a second time")
            names.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if not _DECIMAL.fullmatch(node.value):  # 0100, 0x10 or 1:30, which are 64, 16 and 90 in YAML
            where, said = f"line {node.start_mark.line + 1}", node.value[:80]
            raise DocumentError(f"{where} says {said}, which YAML reads as {number}: write it in decimal digits")
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def parse_yaml(text: str) -> Any:
    """What the YAML says.

    Raises:
        DocumentError: it is no YAML, nested too deeply, has an alias, or says something twice.
    """
    loader = None
    try:
        loader = _Loader(text)  # which looks at the characters
        return loader.get_single_data()
    except DocumentError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DocumentError(_in_words(error)) from None
    finally:
        if loader is not None:
            loader.dispose()


def _in_words(error: Exception) -> str:
    """Where a YAML file breaks off, and why, without the parser's own names of things where we know better."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        return str(error)
    why = next((words for said, words in _PROBLEMS.items() if said in problem), problem)
    return f"line {mark.line + 1}, column {mark.column + 1}: {why}"


def read_yaml(path: Path) -> Any:
    """What the YAML file says.

    Raises:
        DocumentError: see `parse_yaml`.
        OSError: see `fedmol.files.read_bytes`.
    """
    try:
        return parse_yaml(files.read_bytes(path, LARGEST, follow=True).decode())
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is not UTF-8 text (byte {error.start})") from None
