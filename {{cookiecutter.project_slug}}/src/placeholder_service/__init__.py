"""The service. `main.create_app` puts it together."""

# What people call the service: the title of its API.
TITLE = "Placeholder Service"
