"""Messages to people: what is told to whom, by which channel and when. The lowest of the apps: it knows none of the others."""
