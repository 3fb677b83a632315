"""A site's side of a fedmol federation."""
