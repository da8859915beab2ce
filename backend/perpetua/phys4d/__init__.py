"""Simulated data, and what is trained on it."""
