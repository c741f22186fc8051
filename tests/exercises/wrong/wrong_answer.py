"""A wrong answer, made of the right one."""

from attrs import frozen


@frozen
class Wrong:
    """
    An answer as learners give it: the solution with a slip, and what must be said of it.

    Attributes
    ----------
    slip : str
        Its name, in a few words.
    changes : dict
        Pieces of the solution, each with what stands there instead.
    mark : str
        The title of the mark that is missed, or words of it.
    says : tuple of str
        What the message must contain, so that it leads to the mend.
    """

    slip: str
    changes: dict[str, str]
    mark: str
    says: tuple[str, ...]
