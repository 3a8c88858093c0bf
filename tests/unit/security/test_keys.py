"""The keys that come from the one secret."""

from typing import Any

import pytest

from adapters.security.keys import DerivedKeys

# Computed with the hmac module after RFC 5869, not with the code under test.
ACCESS = "057a951954f23c708cad031f895226789ca8958b386f31cb5c397a6d19e32980"
CURSOR = "4b5130fa2ddbc21ca95d09dce8c3cb1b5e935b8459d835fa9c151239282a6427"
CHAIN = "9f664f951b489e6d1037b98eb40aea393fe0778fc91ad85ad1231ab127861f6e"


def test_every_purpose_has_a_key_of_its_own() -> None:
    keys = DerivedKeys("a secret")
    purposes = [
        keys.access_tokens,
        keys.cursors,
        keys.stored_responses,
        keys.pseudonyms,
        keys.refresh_chains,
        keys.secret_boxes,
    ]
    all_keys = [key for found in purposes for key in found]

    assert len({key.secret for key in all_keys}) == len(purposes) == 6
    assert {len(key.secret) for key in all_keys} == {32}


def test_the_same_secret_gives_the_same_keys() -> None:
    assert DerivedKeys("a secret").access_tokens == DerivedKeys("a secret").access_tokens


def test_the_derivation_is_hkdf_sha256_as_stored_tokens_rely_on() -> None:
    """Pinned: another value here means that an upgrade signs everybody out and breaks every cursor."""
    keys = DerivedKeys("a secret")

    assert keys.access_tokens[0].secret.hex() == ACCESS
    assert keys.cursors[0].secret.hex() == CURSOR
    assert keys.refresh_chains[0].secret.hex() == CHAIN


def test_a_previous_secret_is_accepted_after_the_current_one() -> None:
    keys = DerivedKeys("new", also_accepted=["old"])

    assert keys.access_tokens == DerivedKeys("new").access_tokens + DerivedKeys("old").access_tokens
    assert keys.cursors == DerivedKeys("new").cursors + DerivedKeys("old").cursors
    assert keys.refresh_chains == DerivedKeys("new").refresh_chains + DerivedKeys("old").refresh_chains


def test_a_previous_secret_equal_to_the_current_one_adds_nothing() -> None:
    assert len(DerivedKeys("same", also_accepted=["same"]).access_tokens) == 1


@pytest.mark.parametrize("secrets", [("",), ("new", [""])])
def test_an_empty_secret_is_refused(secrets: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="empty"):
        DerivedKeys(*secrets)


def test_no_secret_is_printed() -> None:
    keys = DerivedKeys("a very secret text")
    shown = f"{keys!r} {keys} {keys.access_tokens!r}"

    assert "a very secret text" not in shown
    assert keys.access_tokens[0].secret.hex() not in shown
    assert repr(keys.access_tokens[0].secret) not in shown


def test_the_public_name_of_a_key_is_no_part_of_it() -> None:
    key = DerivedKeys("a secret").access_tokens[0]

    assert bytes.fromhex(key.id) not in key.secret
