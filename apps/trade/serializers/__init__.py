"""Shapes of the public contract: what requests may carry, and what answers look like."""
