"""What administrators do with webhooks, and how deliveries get out."""
