"""The matching of commands to events: deterministic, integer, without Django, clocks or sockets outside adapters."""
