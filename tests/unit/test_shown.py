from __future__ import annotations

import sys
import unicodedata

import pytest

from fedmol.errors import Exit, FedmolError
from fedmol.shown import plain, plain_lines

_CURSOR, _TITLE = "\x1b[2J\x1b[1;1H", "\x1b]0;owned\x07"


@pytest.mark.parametrize("text", ["", "site north", "CC(=O)[O-]", "Köln, 東京", "12\N{NO-BREAK SPACE}kB, [/x]", "a  b"])
def test_what_can_only_be_read_stays(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    "text", [_CURSOR, _TITLE, "\x00", "\x7f", "\x9b31m", "\u202egnp.exe", "\u2066", "\ufeff", "\ud800", "\U000e0041"]
)
def test_what_could_do_more_does_not_get_through(text: str) -> None:
    said = plain(f"a{text}z")
    assert said[0] == "a"
    assert said[-1] == "z"
    assert said.isprintable()
    said.encode()


def test_no_character_of_unicode_but_plain_ones_gets_through() -> None:
    for code in range(sys.maxunicode + 1):
        said = plain(chr(code))
        assert len(said) == 1
        assert unicodedata.category(said)[0] != "C"
        assert unicodedata.category(said) not in ("Zl", "Zp")


def test_breaks_of_lines_become_blanks_and_what_is_too_long_is_cut() -> None:
    assert plain("one\r\n\ttwo\u2028three") == "one two three"
    assert plain("x" * 10**7, 10) == "x" * 9 + "…"
    assert plain_lines("one\ntwo\x1b") == "one\ntwo\N{REPLACEMENT CHARACTER}"
    assert len(plain_lines("\n" * 10**7, 100)) == 100


def test_an_error_says_what_another_party_said_in_plain_characters() -> None:
    error = FedmolError(Exit.SITE_FAILED, f"north says {_CURSOR}{_TITLE}" + "x" * 10**6, "wait\x1b")
    assert len(str(error)) < 10_000
    assert all(line.isprintable() for line in str(error).split("\n"))
