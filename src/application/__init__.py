"""Use cases, and the ports they need. Imports the domain; msgspec in the view modules; nothing else from outside."""
