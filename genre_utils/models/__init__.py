"""The networks, and the classifiers of hand-crafted features."""
