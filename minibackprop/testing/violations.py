"""What the checks raise: the broken law, the cause where it can be told, the evidence, and code that shows it again."""

from __future__ import annotations

from collections.abc import Callable

#: A draw counts where an error of this size, relative to the gradient, would have shown.
ENOUGH = 1e-3


class ContractViolation(AssertionError):  # noqa: N818 - it is what pytest shows as a failed assertion
    """
    A law of the layer contract that does not hold.

    Attributes
    ----------
    law : str
        The name of the law.
    says : str
        The law in a sentence, if it is one of the user's own, or "".
    problem : str
        What was seen, in one sentence.
    evidence : str
        The numbers, for the worst entries.
    example : str
        Code that reproduces it.
    """

    verdict = "broken law"

    def __init__(
        self,
        problem: str,
        *,
        law: str = "",
        cause: str | Callable[[], str] = "",
        evidence: str = "",
        example: str = "",
    ) -> None:
        super().__init__(problem)
        self.says = ""
        self.law, self.problem, self.evidence, self.example = law, problem, evidence, example
        self._cause = cause

    @property
    def cause(self) -> str:
        """What the evidence points to, or "". Where it takes experiments, they are made when it is first asked for."""
        if callable(self._cause):
            self._cause = self._cause()
        return self._cause

    @cause.setter
    def cause(self, cause: str) -> None:
        self._cause = cause

    def __str__(self) -> str:
        parts = [f"{self.verdict}: {self.law}" if self.law else "", self.says, self.problem]
        parts.append(f"cause: {self.cause}" if self.cause else "")
        parts.append(self.evidence)
        parts.append(f"to reproduce:\n\n{indent(self.example)}" if self.example else "")
        return "\n".join(part for part in parts if part)


class Inconclusive(ContractViolation):
    """A check none of whose draws could have shown anything: passing it would say nothing."""

    verdict = "inconclusive"


def indent(text: str) -> str:
    """Indent each line by four spaces."""
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
