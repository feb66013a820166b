"""The figures of the notebooks, each shown and saved by one function."""
