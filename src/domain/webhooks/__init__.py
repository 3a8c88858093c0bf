"""Webhooks: which endpoints of others are told of which events, and how each telling went."""
