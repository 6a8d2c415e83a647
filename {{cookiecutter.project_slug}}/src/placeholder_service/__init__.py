"""A personal knowledge service: thoughts, their relations, contexts and tasks."""
