"""The only place that knows how to connect: engine, session."""
