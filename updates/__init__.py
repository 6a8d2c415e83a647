"""Brings what changed in the template into a project that was rendered from it."""
