"""One folder a run: what it holds, where that came from, its report, and runs without a screen."""
