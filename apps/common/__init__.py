"""What every app uses and that knows none of them: errors, money at the edges, the way to the engine."""
