"""The Django apps: they serve people and bots, and speak to the engine in messages only."""
