"""What outputs become in PostgreSQL: the journal as they are, postings, and the read models that follow from events."""
