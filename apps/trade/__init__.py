"""Orders in, read models out."""
