"""A service that was not made from this template."""
