"""Price sources, what guards them, and the service that publishes their quotes to the log and to the web."""
