"""What the package computes on a GPU's arrays beside what it computes on NumPy's: ``python -m tests.device``."""
