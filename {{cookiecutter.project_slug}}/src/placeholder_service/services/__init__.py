"""What the service does: functions on a session. No HTTP, and no commit: the caller decides."""
