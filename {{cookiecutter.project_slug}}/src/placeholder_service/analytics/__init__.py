"""Events that are shipped to ClickHouse, and statistics from them."""
