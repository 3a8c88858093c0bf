"""Route handlers that all have one signature, so that it is inspected once."""

from typing import Any, Final

from litestar.handlers import HTTPRouteHandler


class RouteHandler(HTTPRouteHandler):
    """Handles a request by a function that takes it alone, as `request`, and returns an `Answer`.

    Litestar inspects the signature of every handler, twice, and makes a model of it. That is half of what building the
    application takes. Here the first handler's stands for all; the tests know that they are equal.
    """

    @property
    def parsed_fn_signature(self) -> Any:
        if "signature" not in _FOUND:
            _FOUND["signature"] = super().parsed_fn_signature
        return _FOUND["signature"]

    @property
    def signature_model(self) -> Any:
        if "model" not in _FOUND:
            _FOUND["model"] = super().signature_model
        return _FOUND["model"]

    def create_kwargs_model(self, path_parameters: Any) -> Any:
        # What the path holds is not among the parameters of the function.
        if "kwargs" not in _FOUND:
            _FOUND["kwargs"] = super().create_kwargs_model(path_parameters)
        return _FOUND["kwargs"]


_FOUND: Final[dict[str, Any]] = {}
"""What Litestar found out about the first handler."""
