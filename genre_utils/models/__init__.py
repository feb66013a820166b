"""Neural networks on log-mel spectrograms, and classifiers of hand-crafted features."""
