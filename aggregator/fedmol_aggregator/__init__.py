"""The coordinator's side of a fedmol federation."""
