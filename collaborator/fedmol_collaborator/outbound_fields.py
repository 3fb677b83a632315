"""What leaves a site: the one list, by the calls and the fields of their messages.

`make generate` puts its table into docs/site.md. Tests hold a recording of everything that a site sends against it, and
the site's event log against the recording. Fields are named as `fedmol_collaborator.message_fields` names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BEGIN, _END = "<!-- made from collaborator/fedmol_collaborator/outbound_fields.py -->", "<!-- end -->"

AGGREGATOR = "the aggregator"
EVERYBODY = "the aggregator; every site"

_TASKS, _TENSOR, _UPLOAD = "GetTasks", "GetAggregatedTensor", "SendLocalTaskResults"
_JOIN, _OPENING, _REPORT, _PROBE, _ECHO = "Join", "Opening", "Report", "Probe", "Echo"
_HEADER = ("header.sender", "header.receiver", "header.federation_uuid")
_WHO = ("protocol", "run", "peer")


@dataclass(frozen=True)
class Item:
    """A row of the table. `fields` are those that say it, by call; what comes with the connection has none."""

    what: str
    when: str
    readers: str
    fields: Mapping[str, tuple[str, ...]]


ITEMS = (
    Item(
        "the trained model: one vector of numbers",
        "once a round",
        "the aggregator, which sees every site's own model",
        {_UPLOAD: ("tensors.model",)},
    ),
    Item(
        "the change of the site's mean gradient: one vector of numbers",
        "once a round, with `strategy: scaffold`",
        AGGREGATOR,
        {_UPLOAD: ("tensors.control",)},
    ),
    Item(
        "number of molecules to train on; histograms of their atom types, bond types and sizes",
        "when it joins",
        "the aggregator; every site learns the federation's sum and each site's number of molecules",
        {_JOIN: ("counts.molecules", "counts.census")},
    ),
    Item(
        "a digest of its molecules, different in each run",
        "when it joins",
        EVERYBODY,
        {_JOIN: ("counts.shard",)},
    ),
    Item(
        "seconds of a training step",
        "when it joins, if `training.budget_minutes` is set",
        AGGREGATOR,
        {_JOIN: ("counts.seconds_per_step",)},
    ),
    Item(
        "training loss, validation NLL, and the seconds of each; number of molecules to train and to validate on",
        "once a round",
        AGGREGATOR,
        {_UPLOAD: ("tensors.loss", "tensors.negative_nll", "tensors.seconds", "data_size")},
    ),
    Item(
        "phase, round, step, loss, speed, seconds left; at the end, the final model's digest",
        "about once a second",
        AGGREGATOR,
        {
            _REPORT: (
                "round",
                "phase",
                "step",
                "steps",
                "loss",
                "molecules_per_second",
                "seconds_left",
                "model_digest",
            )
        },
    ),
    Item(
        "the settings that all parties share; digests of vocabulary, model and payload; the semantics version",
        "when it joins",
        AGGREGATOR,
        {_JOIN: ("settings", "vocabulary", "manifest", "payload", "semantics")},
    ),
    Item(
        "what it asks for or sends: round, task, names and lengths of tensors; how many changes to the run it knows",
        "with every call",
        AGGREGATOR,
        {
            _TENSOR: ("tensor_name", "round_number", "tags", "require_lossless"),
            _OPENING: ("changes",),
            _UPLOAD: (
                "round_number",
                "task_name",
                "tensors.name",
                "tensors.round_number",
                "tensors.lossless",
                "tensors.report",
                "tensors.tags",
                "tensors.transformer_metadata.int_list",
            ),
        },
    ),
    Item(
        "a hash of its name; the run's id; the protocol version",
        "with every call",
        AGGREGATOR,
        {
            _TASKS: _HEADER,
            _TENSOR: _HEADER,
            _UPLOAD: _HEADER,
            _JOIN: _WHO,
            _OPENING: _WHO,
            _REPORT: _WHO,
            _PROBE: ("protocol", "peer"),
        },
    ),
    Item(
        "its certificate with its name; versions of gRPC, and that it runs on Linux",
        "with every connection",
        "the aggregator; whoever watches the network sees that there is a connection",
        {},
    ),
    Item("random bytes, to measure the bandwidth", "when `fedmol doctor` is run", AGGREGATOR, {_ECHO: ()}),
)


def fields(call: str) -> set[str]:
    """Every field that may be in a message of `call`. Raises KeyError when there is no such call."""
    found = [item.fields[call] for item in ITEMS if call in item.fields]
    if not found:
        raise KeyError(call)
    return {name for names in found for name in names}


def table() -> str:
    """The list as a Markdown table."""
    rows = [("what", "when", "who can read it"), ("---", "---", "---")]
    rows += [(item.what, item.when, item.readers) for item in ITEMS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def page_of(text: str) -> str:
    """The page `text`, which has the marks, with the table between them."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{BEGIN}\n{table()}\n{_END}{after}"
