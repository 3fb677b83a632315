"""The part of fedmol doctor that goes the way of a site: its line to the aggregator, its molecules and its machine.

`site` says which checks there are and which build on which.
"""
