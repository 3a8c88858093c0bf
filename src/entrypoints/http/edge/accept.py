"""Whether what a client accepts includes what we have (RFC 9110, section 12.5.1)."""

from functools import lru_cache


def accepts_json(accept: bytes) -> bool:
    return accepts(accept, "application/json")


@lru_cache(maxsize=256)
def accepts(accept: bytes, media_type: str) -> bool:
    """Tell whether an `Accept` field lets a media type through: the most specific range decides (RFC 9110, 12.5.1).

    A field that cannot be read lets everything through, as leaving it out would. Clients send the same few, so what was
    found is remembered: of fields that are as long as they may be, some 4 MiB.
    """
    any_subtype = media_type.partition("/")[0] + "/*"
    best = (-1, 0.0)
    for part in accept.decode("latin-1").lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        specificity = {"*/*": 0, any_subtype: 1, media_type: 2}.get(media_range, -1)
        if specificity >= 0:
            best = max(best, (specificity, _quality(parameters)))
    return best[1] > 0 or not accept.strip()


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
