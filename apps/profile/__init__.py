"""Trading accounts and the money that starts in PostgreSQL."""
