"""A personal knowledge service: thoughts, their relations, contexts and tasks."""

# What people call the service: the title of its API.
TITLE = "Placeholder Service"
