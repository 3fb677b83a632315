"""What a round costs beside its floor, with members that are light enough for many of them to fit on one machine."""
