"""The loop around the core: ports, runner, recovery and snapshots, free of I/O clients."""
