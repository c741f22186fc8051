"""What makes the thing to be checked."""

from __future__ import annotations

from typing import Any

from minibackprop.errors import ConfigError, describe

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True


def require_maker(check: str, make: object, kind: type) -> Any:
    """Require what makes an instance of `kind` without arguments; return one."""
    if not callable(make) or isinstance(make, kind):
        expected = f"a class or a callable that makes a {kind.__name__.lower()}"
        raise ConfigError(f"{check}: make", expected, describe(make))
    try:
        made = make()
    except Exception as error:
        raise ConfigError(f"{check}: make", f"to give a {kind.__name__}", f"{type(error).__name__}: {error}") from error
    if not isinstance(made, kind):
        raise ConfigError(f"{check}: make", f"to give a {kind.__name__}", describe(made))
    return made
