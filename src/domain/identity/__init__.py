"""Accounts: who someone is, how they prove it, and the sessions they hold."""
