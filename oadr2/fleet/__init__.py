"""Many VENs in one process: the engine, its connections, the load test and its report."""
