"""The gateway: one or several VENs, many points, one process."""
