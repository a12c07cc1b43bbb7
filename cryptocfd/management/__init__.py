"""Management commands that compose parts of several apps and the engine."""
