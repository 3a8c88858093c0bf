"""Path operations, one router a subject."""
