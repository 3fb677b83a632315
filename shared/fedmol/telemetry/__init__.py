"""What a run tells of itself: its typed events, the log that they are in, and the one state that everybody is shown."""
