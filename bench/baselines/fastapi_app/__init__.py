"""The contract's posts API as FastAPI's own documentation teaches to write it."""
