"""As if pytest-asyncio were not installed."""

raise ModuleNotFoundError(__name__)
