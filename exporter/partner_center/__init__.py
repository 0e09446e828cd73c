"""Partner Center's REST API: requests with retries, its errors as ours, its bodies as typed rows."""
