"""A whole federation played on one machine: the same two programs, as separate processes over mTLS."""
