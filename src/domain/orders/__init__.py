"""Orders: what somebody wants sent, where to, and how far it has come."""
