"""Text of another party, or out of a file, made fit for a terminal, a log line or a page.

    plain("a\x1b[31mb\nc", 80) == "a\N{REPLACEMENT CHARACTER}[31mb c"

What escapes rich's markup, or HTML, is a matter of where the text goes: `rich.text.Text`, and Jinja's own escaping.
"""

from __future__ import annotations

import re

LONGEST = 1000  # characters of a message
_HOLDS_PLACE = "\N{REPLACEMENT CHARACTER}"
_BLANK = re.compile(r"[\t\n\v\f\r\x85\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}]+")


def plain(text: str, longest: int = LONGEST) -> str:
    """`text` as one line of at most `longest` characters that can do nothing but be read.

    Characters that move the cursor, change the direction of writing, or cannot be encoded become the replacement
    character; breaks of lines and tabs become a blank. What was cut off ends with an ellipsis.
    """
    text = _cut(text, longest)
    if text.isprintable():
        return text
    return "".join(character if _shows(character) else _HOLDS_PLACE for character in _BLANK.sub(" ", text))


def plain_lines(text: str, longest: int = LONGEST) -> str:
    """`plain`, but line by line."""
    return "\n".join(plain(line, longest) for line in _cut(text, longest).split("\n"))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _shows(character: str) -> bool:
    return character.isprintable() or character in "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
