"""What all requests pass on their way to a handler, and what handlers of all contexts are written with."""
