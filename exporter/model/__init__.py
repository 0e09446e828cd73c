"""Types shared between packages: rows of licence data, their values, and the states that people look at."""
