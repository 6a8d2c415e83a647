"""ClickHouse for tests: databases of their own on a server, or on the one that chdb embeds.

Leave the folder out where there is no ClickHouse; nothing else needs it.
"""
