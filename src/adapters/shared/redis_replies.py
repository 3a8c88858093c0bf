"""What is asked of Redis, and what it answers."""

from typing import NamedTuple, TypeAlias

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = bytes | int | list["Reply"] | None


class Replies(NamedTuple):
    """The replies to one caller's commands, and the `run_id` of the server process that gave them."""

    server: bytes
    replies: list[Reply]
