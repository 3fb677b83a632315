"""docs/events.md: every kind of event, from the records themselves and the comments beside their fields."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedmol.telemetry import events
from fedmol.telemetry.events import KINDS

FOLDER = Path(events.__file__).parent
_SUBJECTS = ("run_events", "site_events", "round_events")
_TYPES = FOLDER / "field_types.py"
_HEAD = """# Events

Aggregator and sites each keep a log, `events.jsonl` in the working folder: one JSON object a line, each with the
SHA-256 of the line before. The console, the sidecar's page and metrics, the report and a restart all read the state
that follows from it. `fedmol log verify` finds out whether a log was changed.

Every line has a head: `seq` (counted from 0), `time` (UTC), `run`, `site` (whom it is about: a site, or `aggregator`),
`round` and `phase` (or null), `kind`; and `previous`, the hash. The kind's own fields follow. Readers ignore fields and
kinds that they do not know. Each heading has the kind, and its class in the code.

This page is made from `shared/fedmol/telemetry/events/` by `make generate`.
"""


@dataclass(frozen=True)
class _Class:
    """A record as its source has it."""

    name: str
    kind: str
    incident: str
    of_a_round: bool
    about: str
    bases: tuple[str, ...]
    fields: tuple[tuple[str, str, bool, str], ...]  # name, type, whether it may be missing, comment


def page() -> str:
    """The page as Markdown."""
    sources = {name: (FOLDER / f"{name}.py").read_text() for name in ("event_record", *_SUBJECTS)}
    classes = {record.name: record for source in sources.values() for record in _classes(source)}
    types, parts = _types(_TYPES.read_text()), [_HEAD]
    for name in _SUBJECTS:
        parts.append(f"## {(ast.get_docstring(ast.parse(sources[name])) or name).rstrip('.')}\n")
        parts += [_section(record, classes, types) for record in _classes(sources[name])]
    written = {record.kind for record in classes.values() if record.kind}
    if written != set(KINDS):
        raise ValueError(f"kinds that no record in {FOLDER} has: {sorted(set(KINDS) ^ written)}")
    return "\n".join(parts)


def _section(record: _Class, classes: dict[str, _Class], types: dict[str, str]) -> str:
    fields = list(_all_fields(record, classes))
    if not record.kind and any(record.name in other.bases for other in classes.values()):
        return ""  # its fields stand with the kinds that have them
    about = [record.about] if record.about else []
    if record.incident:
        about.append(f"An incident: *{record.incident}*.")
    if record.of_a_round:
        about.append("The head names a round.")
    rows = [
        f"| `{name}` | {_described(kind, types)} | {'' if needed else 'optional'} | {comment} |"
        for name, kind, needed, comment in fields
    ]
    table = ["| Field | Type | | Meaning |", "| --- | --- | --- | --- |", *rows, ""] if rows else []
    title = f"`{record.kind}`: {record.name}" if record.kind else f"{record.name}, nested in others"
    return "\n".join([f"### {title}", "", " ".join(about), "", *table]).replace("\n\n\n", "\n\n")


def _all_fields(record: _Class, classes: dict[str, _Class]) -> Iterator[tuple[str, str, bool, str]]:
    for base in record.bases:
        if base in classes:
            yield from _all_fields(classes[base], classes)
    yield from record.fields


def _classes(source: str) -> Iterator[_Class]:
    comments = _comments(source)
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name not in ("Record", "OfLaterVersion", "Misread"):
            said = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
            yield _Class(
                node.name,
                said.get("kind", ""),
                said.get("incident", ""),
                said.get("of_a_round", False),
                " ".join((ast.get_docstring(node) or "").split()),
                tuple(ast.unparse(base) for base in node.bases),
                tuple(_field(statement, comments) for statement in node.body if isinstance(statement, ast.AnnAssign)),
            )


def _field(node: ast.AnnAssign, comments: dict[int, str]) -> tuple[str, str, bool, str]:
    return ast.unparse(node.target), ast.unparse(node.annotation), node.value is None, comments.get(node.lineno, "")


def _types(source: str) -> dict[str, str]:
    comments = _comments(source)
    return {
        ast.unparse(node.targets[0]): comments[node.lineno]
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.lineno in comments and "Annotated" in ast.unparse(node.value)
    }


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _described(kind: str, types: dict[str, str]) -> str:
    """The type in words: by the comment beside its name, or as it stands."""
    kind, either = kind.removesuffix(" | None"), kind.endswith(" | None")
    if kind.startswith("Annotated["):
        kind = kind.removeprefix("Annotated[").partition(", Field(")[0]
    if kind.startswith("Mapping["):
        key, _, value = kind.removeprefix("Mapping[").removesuffix("]").partition(", ")
        words = f"{_described(value, types)} by {key.lower()}"
    elif kind.startswith("list["):
        words = f"list of {_described(kind.removeprefix('list[').removesuffix(']'), types).partition(',')[0]}"
    else:
        words = types.get(kind, {"str": "text", "bool": "true or false"}.get(kind, kind))
    return words if not either or words.endswith("or null") else f"{words}, or null"
