"""Technology behind the ports: one folder each, none knowing another."""
