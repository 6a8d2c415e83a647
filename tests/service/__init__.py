"""Rendered projects: what is in them, and what happens when they are installed, run and broken."""
