"""What is known of each setting, and of those that are faulty."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from entrypoints.settings.values import Parser

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SettingFault:
    """One faulty setting. `value` is fit to be shown: secrets are masked; None when nothing was given."""

    name: str
    value: str | None
    expected: str

    def __str__(self) -> str:
        given = "is not set" if self.value is None else f"is {self.value!r}"
        return f"{self.name} {given}; expected {self.expected}"


class BadSettings(Exception):
    """Some settings are missing or wrong. Holds every fault at once, in the order of the documentation."""

    def __init__(self, faults: Sequence[SettingFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What is known of a setting besides its value: how to read it, what it takes, what it is for."""

    parse: Callable[[str], object]
    default: str | None
    expected: str
    about: str
    mask: Callable[[str], str] | None = None


def setting(
    parse: Callable[[str], T],
    *,
    about: str,
    default: str | None = None,
    expected: str | None = None,
    mask: Callable[[str], str] | None = None,
) -> T:
    """A field. What is `expected` is the parser's to say, where that is given none."""
    info = SettingInfo(parse, default, expected or cast("Parser[T]", parse).expected, about, mask)
    # `field()` is typed as returning what it will hold, the usual fiction of dataclasses.
    return cast("T", field(repr=mask is None, metadata={"setting": info}))


def settings_of(infos: Callable[[], dict[str, SettingInfo]]) -> Mapping[str, Any]:
    """A field that holds several settings, by their names in the environment."""
    return cast("Mapping[str, Any]", field(metadata={"settings": infos}))


def infos_of(cls: type) -> dict[str, SettingInfo]:
    """Return what is known of each setting, by its name in the environment, in the order of the documentation."""
    infos: dict[str, SettingInfo] = {}
    for field_ in fields(cls):
        several = field_.metadata.get("settings")
        infos |= several() if several else {field_.name.upper(): field_.metadata["setting"]}
    return infos


def shown_as(value: object, info: SettingInfo) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(info.mask(item) if info.mask else str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return info.mask(text) if info.mask else text
