"""What a coordinator, a site and Prometheus see of a run: an HTTP service that reads the event log and nothing it could
disturb. It imports neither torch nor OpenFL, and no part of training knows of it."""
