"""Duration of the recordings and the part of them in the frames, in words."""

from __future__ import annotations

from spikeport.pipeline.report.content.report_json import Window


def sentence(found: Window | None) -> str:
    """The window in a sentence; empty where it was not measured.

    Args:
        found: `dataset.window` of a report.
    """
    if not found:
        return ""
    long, box = found["duration_us"], found["box"]
    return (
        f"Recordings last {_ms(long['least'])} to {_ms(long['most'])} ms, median {_ms(long['median'])} ms; the window "
        f"of {_ms(found['window_us'])} ms holds {100 * found['inside']:.1f} % of their events, and "
        f"{100 * found['empty_frames']:.1f} % of all frames are empty. Events lie in "
        f"{' and '.join(f'{name} {first} to {last}' for name, (first, last) in box.items())}"
        + ("." if found["on"] is None else f"; {100 * found['on']:.1f} % are ON.")
    )


def warnings(found: Window | None) -> list[str]:
    """Warnings about the window, each as a sentence."""
    return [f"Warning: {text}." for text in found["warnings"]] if found else []


def _ms(us: float) -> str:
    return f"{us / 1000:,.4g}"
