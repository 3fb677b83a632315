"""How the commands of this benchmark end: with an exit code, and with what went wrong on standard error.

As `fedmol.runtime` does it, without the package click.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from fedmol.errors import Exit, FedmolError


def ended(work: Callable[[], int]) -> int:
    """The exit code of `work`."""
    try:
        return work()
    except FedmolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", file=sys.stderr)
        return Exit.INTERRUPTED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        cure = "check that the path exists, that you may write there, and that the disk has room"
        print(f"error: {FedmolError(Exit.USAGE, f'{place}{error.strerror or error}', cure)}", file=sys.stderr)
        return Exit.USAGE
