"""base64url without padding (RFC 4648, section 5), in one spelling per value."""

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the octets. Raises `ValueError` for anything that `encode` does not write.

    The standard library's decoder passes over what is not of the alphabet, and over spare bits at the end; two texts
    that mean the same token would be two keys to caches and logs, so the text is compared with its own re-encoding.
    """
    octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(octets) != text:
        raise ValueError("not base64url, or not as it is written here")
    return octets
