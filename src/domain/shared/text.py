"""Unicode rules that every context shares."""

import unicodedata


def canonical_key(text: str) -> str:
    """Return the form under which two spellings count as one: NFKC, case-folded, trimmed.

    This is Unicode's caseless matching (The Unicode Standard, section 3.13, toNFKC_Casefold, without the removal of
    ignorables). It is computed here, never by a database: collations disagree about `ß`, accents and trailing
    spaces, so storage compares the result byte by byte.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding can undo the composition (and the other way round), so it is brought to its fixed point.
    return unicodedata.normalize("NFKC", folded).casefold().strip()


def has_control_characters(text: str) -> bool:
    """Tell whether `text` holds a control, surrogate or unassigned-format character (categories Cc and Cs)."""
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)
