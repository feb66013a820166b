"""From samples to features on disk: log-mel spectrograms, hand-crafted features, and the store that keeps them."""
