"""From samples to features on disk: log-mel spectrograms, hand-crafted features, and the feature store."""
