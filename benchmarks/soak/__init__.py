"""Whole runs of real processes, disturbed at random: every one has to end, with the model of the undisturbed run."""
