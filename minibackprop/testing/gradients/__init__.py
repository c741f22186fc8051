"""Gradients held against finite differences, and what may be wrong where they differ."""
