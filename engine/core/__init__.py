"""The pure core: integer arithmetic over one state, without clock, I/O, randomness or threads."""
