"""Splitting tracks into train, validation and test, and finding what leaks between the splits."""
