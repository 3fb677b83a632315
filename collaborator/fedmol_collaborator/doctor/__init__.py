"""fedmol doctor: what could keep a site, or the aggregator, from taking part, found before it tries.

Each check is a function of its own that returns a `Finding`. `site` and `aggregator` say which checks there are and
which build on which; `examination` carries them out. Nothing is joined, and nothing stays behind.
"""
