"""What honest uploads feel of an attack, beside the same load on an aggregator that nobody uses."""
