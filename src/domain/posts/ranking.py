"""In which order the feed shows posts.

`hot` is what Reddit has published as its ranking ("hot", r2/lib/db/_sorts.pyx, 2008 on):

    sign(score) · log10(max(|score|, 1)) + seconds since an epoch / 45 000

A post never gets colder: younger ones begin higher, so that nothing stored has to be rewritten as time goes by. Ten
votes lift a post as far as 12.5 hours of age sink it, and so does every further factor of ten. Multiplied by 45 000,
the same order is a moment: that at which a post nobody votes on would have to be published to stand beside this one.
Here it is counted in milliseconds, as a whole number, which compares alike in every database.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import log10

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_TENFOLD_MILLISECONDS = 45_000_000
"""What a tenfold score is worth: 12.5 hours."""


class Sort(StrEnum):
    """An order of the feed: by publication, by score, or by score and age; the highest comes first."""

    NEW = "new"
    TOP = "top"
    HOT = "hot"


def hot_rank(score: int, published_at: datetime) -> int:
    """Return the rank by score and age, in milliseconds since 1970; higher is hotter."""
    return (published_at - _EPOCH) // _MILLISECOND + hot_bonus(score)


def hot_bonus(score: int) -> int:
    """Return what a score adds to the time of publication, in milliseconds."""
    lift = round(_TENFOLD_MILLISECONDS * log10(max(abs(score), 1)))
    return lift if score >= 0 else -lift


def microseconds(at: datetime) -> int:
    """Return a moment as storage notes when ranks have moved: in microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND
