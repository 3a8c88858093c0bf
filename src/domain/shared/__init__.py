"""The kernel both contexts stand on: who acts, what can go wrong, what happened, how things are named."""
