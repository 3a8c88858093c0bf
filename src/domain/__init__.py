"""The business: entities, value objects and policies. Standard library only, no I/O, nothing ambient."""
