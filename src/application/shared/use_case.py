"""The shape of a use case, for what is wrapped around one."""

from typing import Protocol, TypeVar

C_contra = TypeVar("C_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class UseCase(Protocol[C_contra, R_co]):
    async def execute(self, command: C_contra, /) -> R_co: ...
