"""Seconds and memory of extraction, training, inference and the explorer, against other ways to do the same."""
