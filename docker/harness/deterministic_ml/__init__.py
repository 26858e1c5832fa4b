"""Determinism of machine learning: a versioned public API (`v1`), and the harness that measures engines."""
