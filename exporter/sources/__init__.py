"""What is polled: one file per source, which turns API responses into rows."""
