"""From an audio file to samples: decoding, what headers say, and changes of the waveform."""
