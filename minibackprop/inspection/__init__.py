"""Looking inside: summaries of models, and pictures of training."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.inspection.summaries import (
        summary as summary,
        Summary as Summary,
        SummaryRow as SummaryRow,
    )
    from minibackprop.inspection.mermaid import to_mermaid as to_mermaid
    from minibackprop.inspection.live import LiveCurves as LiveCurves
    from minibackprop.inspection.recorder import ActivationRecorder as ActivationRecorder
    from minibackprop.inspection.plots import (
        plot_history as plot_history,
        plot_sigmoid as plot_sigmoid,
        plot_hidden_activations as plot_hidden_activations,
    )
    from minibackprop.inspection.boundary import plot_decision_boundary as plot_decision_boundary
    from minibackprop.inspection.animations import (
        animate_hidden_activations as animate_hidden_activations,
        animate_weights as animate_weights,
        animate_decision_boundary as animate_decision_boundary,
    )
    from minibackprop.inspection.both_ways import passes as passes, Passes as Passes, PassesRow as PassesRow
else:
    __getattr__, __dir__ = exports(__name__)
