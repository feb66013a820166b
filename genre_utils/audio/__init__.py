"""From an audio file to samples: decoding, lengths by the header, and augmentation of the waveform."""
