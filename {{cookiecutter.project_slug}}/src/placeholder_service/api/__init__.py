"""HTTP: routers, their dependencies, and how errors look."""
