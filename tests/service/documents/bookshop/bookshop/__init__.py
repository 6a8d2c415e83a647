"""A shop for books."""
