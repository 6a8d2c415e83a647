"""The hooks, as Python modules: nothing is rendered here."""
