"""What runs statements and units of work. `port` is what the rest of SQL knows of it."""
