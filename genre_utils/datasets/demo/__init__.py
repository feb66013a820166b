"""Music composed and synthesised here, so that everything runs without any data."""
