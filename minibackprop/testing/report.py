"""What a passing check has to say."""

from __future__ import annotations

from attrs import define, field


@define(eq=False, slots=False)
class Report:
    """
    What a check that passed has shown.

    Attributes
    ----------
    power : dict
        By law, and by what was checked: the smallest relative error that would have been found.
    lifted : dict
        The laws that were not checked, with the reason.
    kept : list of str
        The laws that were.
    """

    kept: list[str] = field(factory=list)
    lifted: dict[str, str] = field(factory=dict)
    power: dict[str, dict[str, float]] = field(factory=dict)

    def __str__(self) -> str:
        lines = [f"{len(self.kept)} laws hold: {', '.join(self.kept)}"]
        for law, found in self.power.items():
            shown = ", ".join(f"{error:.1g} for {name}" for name, error in found.items())
            lines.append(f"{law}: a relative error would have been found from {shown}")
        lines += [f"{law}: not checked ({reason})" for law, reason in self.lifted.items()]
        return "\n".join(lines)
