"""Batches: what is asked of many rows, where they come from, and where the answers go."""
