"""What calls in: HTTP, the command line; and the one place that puts everything together."""
