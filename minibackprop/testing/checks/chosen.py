"""Which laws a check looks at: those it is given, without those that are left out for a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.calls import agrees_with
from minibackprop.validation import Array, is_iterable

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True


def chosen_laws(laws: Iterable[Law], without: Mapping[str, str] | None) -> list[Law]:
    """List the laws that are not left out, of which there must be one."""
    left_out = {} if without is None else without
    chosen = [law for law in require_laws(laws, left_out) if law.name not in left_out]
    if not chosen:
        raise ConfigError("laws", "at least one law that is not left out", "none")
    return chosen


def with_reference(laws: Iterable[Law], reference: Callable[[Layer, Array], Array] | None) -> Iterable[Law]:
    """Add the law of the user's reference, if there is one."""
    if reference is None or not is_iterable(laws):
        return laws
    if not callable(reference):
        raise ConfigError("reference", "a callable of a layer and a batch", describe(reference))
    return *laws, agrees_with(reference)


def require_laws(laws: Iterable[Law], without: Mapping[str, str]) -> tuple[Law, ...]:
    """Require laws, and a reason for each that is left out; return the laws."""
    if not is_iterable(laws):
        raise ConfigError("laws", "an iterable of Law", describe(laws))
    laws = tuple(laws)
    if wrong := [law for law in laws if not isinstance(law, Law)]:
        raise ConfigError("laws", "an iterable of Law", describe(wrong[0]))
    if not isinstance(without, Mapping):
        raise ConfigError("without", "a dict of reasons by name of law", describe(without))
    names = [law.name for law in laws]
    for name, reason in without.items():
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5) if isinstance(name, str) else []
            expected = f"names of laws: did you mean {near[0]!r}?" if near else f"names of laws, {names}"
            raise ConfigError("without", expected, repr(name))
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigError(f"without: {name}", "a reason", repr(reason))
    return laws
