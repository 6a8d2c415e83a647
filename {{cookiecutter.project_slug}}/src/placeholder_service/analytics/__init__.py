"""What happened in the service, told to ClickHouse, and what ClickHouse makes of it."""
