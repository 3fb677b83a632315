"""Run an aggregator whose connections live for SECONDS each.

python aged.py SECONDS PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import runpy
import sys

from fedmol_aggregator.openfl_adapter import server

_AGE = "grpc.max_connection_age_ms"

if __name__ == "__main__":
    seconds, program, *rest = sys.argv[1:]
    assert _AGE in dict(server._OPTIONS)
    server._OPTIONS[:] = [
        (name, round(1000 * float(seconds)) if name == _AGE else value) for name, value in server._OPTIONS
    ]
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
