"""The solutions with their tasks, one a file: skeletons and pages are made of them."""
