"""Inference: predict the genre of audio files with a trained or an exported model."""
