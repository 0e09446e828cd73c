"""HTTP as a client: requests with a deadline and a size limit, and what the server says about retrying."""
