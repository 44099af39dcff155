"""The training: validation errors, the spectrum of a closed form, or the members of joined codes."""

from __future__ import annotations

from invlearn.errors import UserError
from invlearn.reporting.blocks import Chart, Section, Text
from invlearn.reporting.charts import drawing, in_svg
from invlearn.reporting.context import Context
from invlearn.runs.drawn import curves_figure

__all__ = ["training"]


def training(context: Context) -> Section | None:
    """The run's curves."""
    directory = context.run.directory
    try:
        with drawing():
            figure = curves_figure(directory)
    except UserError as error:
        return Section("Training", [Text(f"The curves cannot be drawn: {error}", is_note=True)])
    figure.set_size_inches(4.4, 5.4 if len(figure.axes) > 1 else 3.0)
    for axes in figure.axes:
        axes.set_title("")
    if len(figure.axes) > 1:
        label = "Spectrum of the closed form: share of variance within entities, and scores of the tried settings."
        caption = (
            "Above: the share of variance that lies within entities, for each direction in code space. "
            "Below: the validation score of each setting that was tried."
        )
    elif context.run.experiment.members:
        label = "Scores of two models and of their joined codes."
        caption = "The code of this run joins those of two models."
    else:
        label = "Validation errors against the epoch."
        caption = "Validation errors during training."
    return Section("Training", [Chart(in_svg(figure), label, caption)])
