"""Webhooks in a database: endpoints, deliveries, and how far the event log has been handed out."""
