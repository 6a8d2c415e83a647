"""What comes in and goes out over HTTP: Pydantic inputs and outputs."""
