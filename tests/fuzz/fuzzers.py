"""What is thrown at fedmol at random; each fuzzer takes a folder, a generator and the model of an honest run."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import given, stored, uploads, words

Fuzzer = Callable[[Path, random.Random, bytes], int]

FUZZERS: dict[str, Fuzzer] = {
    "uploads": uploads.fuzz,
    "restarts": stored.fuzz,
    "messages": words.fuzz,
    "files": given.fuzz,
}
