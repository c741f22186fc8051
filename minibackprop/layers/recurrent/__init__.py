"""Recurrent layers: a cell a file, and what they share in `base`."""
