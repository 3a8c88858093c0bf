"""Every storage port over dictionaries: what tests run on, and a server that forgets everything when it stops."""
