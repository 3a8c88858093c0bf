"""How many connections a worker takes, by how many files the system lets it open."""

import resource
from typing import Final

from entrypoints.settings import Settings

OPEN_FILES: Final = 256
"""Besides connections of callers: to the database, files, and what the runtime needs."""


def connections_wanted(settings: Settings) -> int:
    """Return how many connections a worker is to take: streams must not take what ordinary requests need."""
    return settings.connections_max + settings.live_max_streams


def allow_connections(settings: Settings) -> int:
    """Let this process and those that it starts open as many files as that takes, as far as it may.

    Returns how many connections each worker takes. That leaves files to all else: a server that cannot accept for want
    of one tries again without end. The usual soft limit of 1024 is for programs that use `select`; services are meant
    to raise it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections_wanted(settings) + OPEN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections_of(settings)


def connections_of(settings: Settings) -> int:
    """Return how many connections a worker takes with the limit as it is now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_wanted(settings)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(min(wanted, soft - min(OPEN_FILES, soft // 2)), 1)
