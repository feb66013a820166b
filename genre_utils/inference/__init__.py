"""Genres of anybody's audio files, with a trained or an exported model."""
