"""Records anew what the tests here compare with: python -m tests.golden.record [semantics|messages]

Numbers may be recorded once SEMANTICS was raised, or where there were none before. Messages may be recorded once the
minor number of PROTOCOL was raised; those of earlier versions stay. Before its first release a version's messages may
be recorded again.
"""

from __future__ import annotations

import json
import sys

from fedmol.fl.versions import SEMANTICS
from tests.golden import messages, semantics


def record_semantics() -> None:
    found = semantics.compute()
    if semantics.RECORDED.exists():
        expected = semantics.recorded()
        known = {name: value for name, value in found.items() if name in expected}
        changed = [one for one in semantics.differences(expected, known) if "None" not in one]
        if changed and expected["semantics"] == SEMANTICS:
            sys.exit("results have changed: raise SEMANTICS first\n" + "\n".join(changed))
    semantics.RECORDED.write_text(json.dumps({"semantics": SEMANTICS, **found}, indent=1) + "\n")


def record_messages() -> None:
    folder = messages.folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in messages.examples().items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    {"semantics": record_semantics, "messages": record_messages}[sys.argv[1]]()
