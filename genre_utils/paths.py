"""Where things lie, whatever folder a notebook or a command was started in."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CACHE = PROJECT / "data"  # what can be computed again: demo music, features, training states
RUNS = PROJECT / "runs"
NOTEBOOKS = PROJECT / "notebooks"
PROFILES = NOTEBOOKS / "profiles"
