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
    from minibackprop.inspection.plots import (
        ActivationRecorder as ActivationRecorder,
        plot_history as plot_history,
        plot_decision_boundary as plot_decision_boundary,
        plot_sigmoid as plot_sigmoid,
        plot_hidden_activations as plot_hidden_activations,
    )
else:
    __getattr__, __dir__ = exports(__name__)
