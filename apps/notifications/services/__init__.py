"""What changes the state of this app: telling, sending, and how people want to be told."""
