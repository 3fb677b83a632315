"""What is wrong with settings, in words for whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fedmol.documents import DocumentError
from fedmol.errors import Exit, FedmolError
from fedmol.names import NO_HOST, host_like, site_like
from fedmol.yaml_reading import read_yaml

T = TypeVar("T", bound=BaseModel)


def read_settings(path: Path, cure: str) -> Any:
    """What a YAML file says; `cure` is for when there is none.

    Raises:
        FedmolError: BAD_SETTINGS if it cannot be read.
    """
    try:
        return read_yaml(path)
    except FileNotFoundError:
        raise FedmolError(Exit.BAD_SETTINGS, f"there is no file {path}", cure) from None
    except (OSError, DocumentError) as error:
        cure = "correct the file: entries of one section begin in one column, after blanks and never after tabs"
        raise FedmolError(Exit.BAD_SETTINGS, f"{path} cannot be read as YAML: {error}", cure) from None


def checked(kind: type[T], document: Any, origin: str) -> T:
    """The document as settings of a kind; `origin` names it in messages.

    Raises:
        FedmolError: BAD_SETTINGS, with every wrong entry by its dotted path.
    """
    wrong, settings = dict(truth_values(document)), None
    try:
        settings = kind.model_validate(document)
    except ValidationError as error:
        for cause in first_causes(error.errors()):
            wrong.setdefault(entry(document, cause["loc"], cause["type"] == "missing"), what_is_wrong(cause, kind))
    if wrong or settings is None:
        listed = "\n".join(f"  {place}: {what}" for place, what in wrong.items())
        raise FedmolError(
            Exit.BAD_SETTINGS,
            f"{origin} has wrong entries:\n{listed}",
            "correct the entries named above; settings.yaml in the folder of any run shows every entry",
        )
    return settings


def first_causes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without those that only follow from an error further within: a list is too short when its items are wrong."""
    places = {error["loc"] for error in errors}
    return [
        error for error in errors if not any(place[: len(error["loc"])] == error["loc"] != place for place in places)
    ]


def what_is_wrong(error: ErrorDetails, kind: type[BaseModel]) -> str:
    if error["type"] == "union_tag_not_found":
        return "it has no name, such as name: fedavg"
    if error["type"] == "extra_forbidden":
        return "there is no such entry" + _alike(kind, error["loc"])
    if error["type"] == "model_type":
        return "it has no entries: write them in the lines below it, indented"
    if error["type"] == "string_pattern_mismatch":
        return _what_form(str(error["loc"][-1]), str(error["input"]))
    return error["msg"].removeprefix("Value error, ")


def _alike(kind: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """The entry of that section which was probably meant, if its name is like one."""
    *sections, name = place
    for section in sections:
        field = kind.model_fields.get(str(section))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return ""
        kind = field.annotation
    near = get_close_matches(str(name), kind.model_fields, n=1)
    return f"; {near[0]} may be meant" if near else ""


def _what_form(name: str, said: str) -> str:
    """What is wrong with a name or an address, and what would do."""
    shown = repr(said[:80])
    if name in ("address", "listen"):
        return f"{shown} is {NO_HOST} {host_like(said)}"
    return f"{shown} is no name: take lower-case letters, digits and hyphens between them, such as {site_like(said)}"


def truth_values(document: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Where the document says true or false, which YAML also reads from yes and no, and Python takes for 1 and 0."""
    if isinstance(document, bool):
        what = f"YAML reads {str(document).lower()} there, which no entry takes; put a word such as no into quotes"
        yield place.removeprefix("."), what
    elif isinstance(document, (dict, list, tuple)):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from truth_values(value, f"{place}.{key}")


def entry(document: Any, place: tuple[int | str, ...], missing: bool) -> str:
    """The dotted path of a wrong entry, without the names of kinds that pydantic puts into it."""
    path: list[str] = []
    for key in place:
        within = isinstance(document, (dict, list))
        try:
            document = document[key]
        except (LookupError, TypeError):
            if not (within and missing and key == place[-1]):
                continue
        path.append(str(key))
    return ".".join(path) or "the whole"
