"""Every branch of business: what a command, a quote or the passing of time brings about, as events."""
