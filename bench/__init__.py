"""Benchmarks: Postern beside its floor and its alternatives. See README.md."""
