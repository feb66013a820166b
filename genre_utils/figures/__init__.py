"""Figures of the notebooks: one function draws, saves and returns each."""
