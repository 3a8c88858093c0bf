"""Problem details (RFC 9457): what can go wrong, the status it maps to, and how it looks on the wire."""
