"""Federated learning as such, whatever carries it: payload, uploads, rounds, strategies, the state on disk.

Nothing here knows OpenFL, gRPC or torch: the aggregator's server and a simulation stand on the same round engine.
"""
