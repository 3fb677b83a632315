"""Every way a fedmol program can end, each with one exit code and one page in docs/errors/."""

from __future__ import annotations

import errno
from enum import IntEnum

from fedmol.shown import plain_lines

_LONGEST = 4000  # characters of a message or a cure


class Exit(IntEnum):
    """Exit codes of `fedmol`, `fedmol-aggregator` and `fedmol-collaborator`."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    BAD_SETTINGS = 10
    BAD_DATA = 11
    BAD_MODEL = 12
    EXTRA_MISSING = 13
    CERTIFICATE_MISSING = 20
    CERTIFICATE_EXPIRED = 21
    CERTIFICATE_FOREIGN = 22
    CERTIFICATE_NAME = 23
    CERTIFICATE_OF_ANOTHER_SITE = 24
    UNKNOWN_RUN = 25
    MODEL_DIFFERS = 26
    VOCABULARY_DIFFERS = 27
    UPDATE_REFUSED = 28
    AGGREGATOR_UNREACHABLE = 30
    QUORUM_LOST = 31
    DIVERGED = 32
    STATE_UNUSABLE = 33
    ADDRESS_IN_USE = 34
    SITE_FAILED = 35
    PROCESS_LOST = 36
    NOT_READY = 37
    NO_ENGINE = 38
    STORAGE = 39
    FOLDER_IN_USE = 40
    CHANGE_REFUSED = 41
    SHARD_CHANGED = 42
    PROTOCOL_DIFFERS = 43
    AGREEMENT_BROKEN = 44
    REMOVED = 45
    MESSAGE_REFUSED = 46
    LOG_TAMPERED = 47
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def slug(self) -> str:
        """The code's name in messages, events and the file name of its page: `bad-data`."""
        return self.name.lower().replace("_", "-")

    @property
    def page(self) -> str:
        return f"docs/errors/{self.value:03d}-{self.slug}.md"


STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}  # see Exit.STORAGE


class FedmolError(Exception):
    """What is wrong and where (`message`), what to do about it (`cure`), and how to exit.

    Both may quote another party or a file: here they become fit for a terminal, see `fedmol.shown`.
    """

    def __init__(self, exit: Exit, message: str, cure: str) -> None:
        self.exit = exit
        self.message = plain_lines(message, _LONGEST)
        self.cure = plain_lines(cure, _LONGEST)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  cure: {self.cure}\n  see:  {self.exit.page} (exit code {self.exit.value})"


def bad_data(message: str, cure: str) -> FedmolError:
    """To be raised for a file of molecules that cannot be used."""
    return FedmolError(Exit.BAD_DATA, message, cure)
