"""Sending webhooks: which addresses they may go to, and how."""
