"""The exercises, one a file: what each asks to predict, its hint, and what it is marked for."""
