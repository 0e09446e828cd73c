"""What is polled: one file a source, each turning an API's answer into rows."""
