"""What the checks raise: the broken law, the cause where it can be told, the evidence, and code that shows it again."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from minibackprop.inspection.html import escaped, framed
from minibackprop.training.notebook import in_notebook, shell

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
        self.says, self._displayed_in = "", -1
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

    def _repr_html_(self) -> str:
        """Show the message in its parts."""
        told = f"<b>{escaped(self.verdict)}{escaped(f': {self.law}' if self.law else '')}</b>"
        told += "".join(f"<div>{escaped(text)}</div>" for text in (self.says, self.problem) if text)
        if self.cause:
            told += f'<div class="cause">cause: <b>{escaped(self.cause)}</b></div>'
        if self.evidence:
            told += f"<pre>{escaped(self.evidence)}</pre>"
        if self.example:
            told += f"<details open><summary>to reproduce</summary><pre>{escaped(self.example)}</pre></details>"
        return framed(f'<div class="wrong">{told}</div>')

    def _render_traceback_(self) -> list[str]:
        """
        Give the lines that IPython prints, as it would without this; a notebook shows the message as HTML before them.

        IPython asks an exception for this, if it has it, in the place of making the lines.
        """
        ipython = shell()
        if ipython is None:
            return traceback.format_exception(self)
        # IPython asks twice: to show it, and to keep it.
        if in_notebook() and self._displayed_in != ipython.execution_count:
            self._displayed_in = ipython.execution_count
            from IPython.display import display

            text = f"{self.verdict}: {self.law or self.problem}"
            display({"text/html": self._repr_html_(), "text/plain": text}, raw=True)
        lines: list[str] = ipython.InteractiveTB.structured_traceback(type(self), self, self.__traceback__)
        return lines


class Inconclusive(ContractViolation):
    """A check none of whose draws could have shown anything: passing it would say nothing."""

    verdict = "inconclusive"


def indent(text: str) -> str:
    """Indent each line by four spaces."""
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
