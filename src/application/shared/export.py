"""What a person can take with them: each context contributes what it holds on somebody."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Protocol

from domain.shared.ids import UserId


class ExportSource(Protocol):
    """One member of the export document: everything of one kind that is held on a person."""

    name: ClassVar[str]
    """The member's name: public, in `snake_case`."""
    is_list: ClassVar[bool]
    """Whether the member is an array, of none or more records, or the one record itself."""

    def batches(self, user_id: UserId) -> AsyncIterator[Sequence[Any]]:
        """Yield the records as views, some at a time, so that memory stays bounded however many there are.

        Raises `StorageUnavailable`.
        """
        ...
