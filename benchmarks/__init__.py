"""How fast fedmol is, beside a plain implementation of DiGress in the same run: `python -m benchmarks --help`."""
