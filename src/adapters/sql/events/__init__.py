"""The event log in a database: reading, relaying and forgetting it."""
