"""Every client over every kind of endpoint: clients (one file each), endpoints, the nine cases, and the table that a run writes."""
