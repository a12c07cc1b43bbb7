"""Django's PostgreSQL backend with a limit for what requests may ask; `base` is where Django looks for a backend."""
