"""fedmol-evaluator, beside the aggregator: molecules of each round's model, and in the end the account of the run.

It reads the aggregator's folder and writes into one of its own, so that nothing it does can reach the run.
"""
