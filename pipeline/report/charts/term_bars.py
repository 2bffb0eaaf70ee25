"""Bars that are made of parts, and the tornado chart of constants. Both fill the cell of a table."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from spikeport.pipeline.report.charts.svg import Axis, svg

HEIGHT = 14  # of a bar, px
TERMS = {  # key of a term -> its words in titles and in the key; the place is its color on the page
    "synapse_uj": "synapses",
    "neuron_uj": "neurons",
    "routing_uj": "routing",
    "addressing_uj": "addresses",
    "memory_uj": "memory",
}


def stacked(terms: Mapping[str, float | None], largest: float, title: str) -> Markup:
    """Draws a bar of a layer's energies, one part for each term.

    Args:
        terms: energy by term, µJ, with keys of TERMS; None where it is unknown, which has no part.
        largest: sum of the bar that fills the column, µJ.
        title: what the bar is of, for screen readers and pointers.
    """
    if largest <= 0:
        return Markup("")
    left, parts = 0.0, []
    for key, energy in terms.items():
        if not energy:
            continue
        width = 100 * energy / largest
        place = list(TERMS).index(key)
        parts.append(
            f'<rect class="term-{place}" x="{left:.3f}%" width="{width:.3f}%" height="{HEIGHT}">'
            f"<title>{TERMS[key]}: {energy:.3g} µJ</title></rect>"
        )
        left += width
    return svg("".join(parts), title, "stacked", f'width="100%" height="{HEIGHT}"')


def term_key(key: str) -> Markup:
    """The colored square of a term.

    Args:
        key: key of TERMS.
    """
    square = f'<rect class="term-{list(TERMS).index(key)}" width="12" height="12"/>'
    return Markup(f'<svg class="stacked key" width="12" height="12" aria-hidden="true">{square}</svg>')


def tornado(axis: Axis, nominal: float, low: float, high: float, title: str) -> Markup:
    """Draws how far an energy moves with one constant: a bar between both ends, and a line at the nominal energy.

    Args:
        axis: the axis, µJ.
        nominal: energy with all constants nominal, µJ.
        low: energy with the constant at its low end, µJ; may lie above `high`.
        high: energy with the constant at its high end, µJ.
        title: what is drawn, for screen readers and pointers.
    """
    left, right = sorted((axis.at(low), axis.at(high)))
    middle = axis.at(nominal)
    body = "".join(
        f'<line class="grid" x1="{axis.at(tick)}%" x2="{axis.at(tick)}%" y1="0" y2="{HEIGHT}"/>' for tick in axis.ticks
    )
    body += f'<rect class="moved" x="{left}%" width="{right - left:.3f}%" y="2" height="{HEIGHT - 4}"/>'
    body += f'<line class="total" x1="{middle}%" x2="{middle}%" y1="0" y2="{HEIGHT}"/>'
    return svg(body, title, "tornado", f'width="100%" height="{HEIGHT}"')
