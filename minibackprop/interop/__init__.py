"""Bridges to other tools, each a module of its own that is imported on request and needs the extra of its name."""
