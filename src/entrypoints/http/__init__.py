"""The HTTP entrypoint: translates requests into commands, and what comes of them into answers. It decides nothing."""
