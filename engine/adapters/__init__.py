"""The outside world behind the runtime's ports: Valkey, files, the clock, and in-memory doubles."""
