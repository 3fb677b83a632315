"""Run a program whose files may not grow beyond a number of bytes, which looks to it like a full disk.

python little_room.py BYTES PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import resource
import runpy
import sys

if __name__ == "__main__":
    size, program, *rest = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
    sys.argv = [program, *rest]
    runpy.run_module(program, run_name="__main__")
