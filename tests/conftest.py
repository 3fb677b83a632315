from __future__ import annotations

import os

# Set before torch is imported anywhere: a test's processes must not fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
