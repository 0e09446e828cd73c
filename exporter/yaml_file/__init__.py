"""Any YAML file into a validated pydantic model; every problem at once, with its line and its fix."""
