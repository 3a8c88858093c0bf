"""Posts, and the votes on them."""
