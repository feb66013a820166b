"""Which track is in train, validation and test, and what leaks between them."""
