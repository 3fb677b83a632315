"""fedmol doctor: what could keep a site, or the aggregator, from taking part, found before it tries.

Each check is a function of its own that returns a `Finding`; `examination` carries them out. `aggregator` says which
there are for the aggregator. Those of a site come with the collaborator, which knows how a site joins. Nothing is
joined, and nothing stays behind.
"""
