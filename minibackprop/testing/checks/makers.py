"""What makes the thing to be checked."""

from __future__ import annotations

from minibackprop.errors import ConfigError, describe


def require_maker(check: str, make: object, kind: type) -> None:
    """Require what makes an instance of `kind` without arguments."""
    if not callable(make) or isinstance(make, kind):
        expected = f"a class or a callable that makes a {kind.__name__.lower()}"
        raise ConfigError(f"{check}: make", expected, describe(make))
    if not isinstance(made := make(), kind):
        raise ConfigError(f"{check}: make", f"to give a {kind.__name__}", describe(made))
