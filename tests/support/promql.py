"""As much of PromQL as it takes to see which metrics and labels an expression names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^]]*\]|\d[\w.]*|[A-Za-z_:][\w:]*|[=!]~|[=!<>]=|\S')
_NAME = re.compile(r"[A-Za-z_:]")
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg", "count", "group", "topk", "quantile"}


@dataclass
class Named:
    """What an expression names."""

    metrics: dict[str, set[str]] = field(default_factory=dict)  # each with the labels that it is selected by
    grouped: set[str] = field(default_factory=set)  # labels that it is grouped, matched or joined by


def named(expression: str) -> Named:
    found, tokens = Named(), _TOKEN.findall(expression)
    at = 0
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if token in _GROUPING:
            inside, at = _until(tokens, at + 1, ")")
            found.grouped.update(_names(inside))
        elif _NAME.match(token) and token not in _WORDS and following != "(":
            inside, end = _until(tokens, at + 1, "}") if following == "{" else ([], at)
            found.metrics.setdefault(token, set()).update(_names(inside))
            at = end
        at += 1
    return found


def _until(tokens: list[str], start: int, bracket: str) -> tuple[list[str], int]:
    end = tokens.index(bracket, start)
    return tokens[start:end], end


def _names(tokens: list[str]) -> set[str]:
    return {token for token in tokens if _NAME.match(token)}
