"""Value objects of orders."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from domain.shared.errors import FieldError, Invalid
from domain.shared.text import has_control_characters, require_visible

PRODUCT_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
"""An id out of the caller's own catalogue, which we don't know: 1 to 64 ASCII characters, case matters."""
PRODUCT_ID_MAX_LENGTH = 64
QUANTITY_MAX = 1000
LINES_MAX = 100
STREET_MAX_LENGTH = 200
CITY_MAX_LENGTH = 100
STATE_MAX_LENGTH = 100
ZIP_MAX_LENGTH = 20
COUNTRY_MAX_LENGTH = 100

_PRODUCT_ID = re.compile(PRODUCT_ID_PATTERN.removesuffix("$"), re.ASCII)


@dataclass(frozen=True, slots=True)
class ProductId:
    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        if not _PRODUCT_ID.fullmatch(raw):
            message = "takes 1 to 64 letters, digits and . _ : - of ASCII, and begins with a letter or a digit"
            raise Invalid([FieldError("product_id", "format", message)])
        return cls(raw)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A product, and how many of it: 1 to 1000."""

    product_id: ProductId
    quantity: int

    @classmethod
    def of(cls, product_id: ProductId, quantity: int) -> Self:
        if not 1 <= quantity <= QUANTITY_MAX:
            raise Invalid([FieldError("quantity", "range", f"is a whole number from 1 to {QUANTITY_MAX}")])
        return cls(product_id, quantity)


@dataclass(frozen=True, slots=True)
class OrderLines:
    """1 to 100 lines in the order they were given, each for another product."""

    items: tuple[OrderLine, ...]

    @classmethod
    def of(cls, lines: Sequence[OrderLine]) -> Self:
        if not 1 <= len(lines) <= LINES_MAX:
            raise Invalid([FieldError("items", "length", f"takes 1 to {LINES_MAX} products")])
        seen: set[ProductId] = set()
        repeated: list[FieldError] = []
        for index, line in enumerate(lines):
            if line.product_id in seen:
                path = f"items/{index}/product_id"
                repeated.append(FieldError(path, "duplicate", "is in the order already; raise its quantity instead"))
            seen.add(line.product_id)
        if repeated:
            raise Invalid(repeated)
        return cls(tuple(lines))


def street(raw: str) -> str:
    """Return a street and number, trimmed. Raises `Invalid`, as the others here do."""
    return _text("street", raw, STREET_MAX_LENGTH)


def city(raw: str) -> str:
    return _text("city", raw, CITY_MAX_LENGTH)


def state(raw: str) -> str:
    return _text("state", raw, STATE_MAX_LENGTH)


def zip_code(raw: str) -> str:
    return _text("zip", raw, ZIP_MAX_LENGTH)


def country(raw: str) -> str:
    return _text("country", raw, COUNTRY_MAX_LENGTH)


def _text(field: str, raw: str, longest: int) -> str:
    value = raw.strip()
    if not 1 <= len(value) <= longest:
        raise Invalid([FieldError(field, "length", f"takes 1 to {longest} characters, and not only blanks")])
    if has_control_characters(value):
        raise Invalid([FieldError(field, "format", "takes no control characters")])
    require_visible(value, field=field)
    return value


@dataclass(frozen=True, slots=True, repr=False)
class ShippingAddress:
    """Where an order goes. It is personal, so it has no `repr` that a log could show.

    Nothing is looked up: what a state or a postal code is differs too much between countries.
    """

    street: str
    city: str
    state: str
    zip: str
    country: str | None

    @classmethod
    def parse(cls, *, street: str, city: str, state: str, zip: str, country: str | None) -> Self:
        """Build an address of texts, each trimmed. Raises `Invalid` with the first fault."""
        return cls(
            _text("street", street, STREET_MAX_LENGTH),
            _text("city", city, CITY_MAX_LENGTH),
            _text("state", state, STATE_MAX_LENGTH),
            _text("zip", zip, ZIP_MAX_LENGTH),
            None if country is None else _text("country", country, COUNTRY_MAX_LENGTH),
        )
