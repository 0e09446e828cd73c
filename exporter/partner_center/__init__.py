"""Partner Center's REST API: requests with retries, its faults as our errors, its bodies as typed rows."""
