"""How long the recordings are and how much of them the frames hold, in words."""

from __future__ import annotations

from spikeport.pipeline.report.content.report_json import Window


def sentence(found: Window | None) -> str:
    """`found` is a report's `dataset.window`; "" where nobody counted."""
    if not found:
        return ""
    long, box = found["duration_us"], found["box"]
    return (
        f"Recordings last {_ms(long['least'])} to {_ms(long['most'])} ms, median {_ms(long['median'])} ms; the window "
        f"of {_ms(found['window_us'])} ms holds {100 * found['inside']:.1f} % of their events, and "
        f"{100 * found['empty_frames']:.1f} % of all frames are empty. Events lie in x {box['x'][0]} to {box['x'][1]} "
        f"and y {box['y'][0]} to {box['y'][1]}; {100 * found['on']:.1f} % are ON."
    )


def warnings(found: Window | None) -> list[str]:
    """What does not seem right, each as a sentence."""
    return [f"Warning: {text}." for text in found["warnings"]] if found else []


def _ms(us: float) -> str:
    return f"{us / 1000:,.4g}"
