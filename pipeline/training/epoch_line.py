"""The line that is printed after each epoch of a training. All its numbers but the time left are in metrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikeport.pipeline.training.results import EpochRow

RATES_SHOWN = 6  # rates of more layers are shown as a range
RECENT_EPOCHS = 5  # epochs whose mean duration gives the time left
NO_LOSSES = (".weight", ".replaced")  # ends of names of logged values that are no losses


def epoch_line(rows: Sequence[EpochRow], epochs: int) -> str:
    """The last epoch of a training as one line.

    Args:
        rows: rows of all epochs so far.
        epochs: number of epochs of the training.
    """
    row = rows[-1]
    parts = [
        f"{row.stage} epoch {row.epoch}/{epochs}",
        _losses(row.losses),
        _share("training", row.training_accuracy),
        _share("agreement", row.training_agreement),
        _validation(row),
        _silent(row),
        _rates(row.rates or {}),
        f"stopped early, of {epochs}" if row.planned_epochs else _time_left(rows, epochs - row.epoch),
    ]
    return "  ".join(part for part in parts if part)


def _losses(losses: Mapping[str, float | list[float]]) -> str:
    """The total, and the losses that it consists of, before their weights, if there are several."""
    parts = [
        f"{name.removeprefix('event.')} {_number(value)}"
        for name, value in losses.items()
        if name != "loss" and isinstance(value, (int, float)) and not name.endswith(NO_LOSSES)
    ]
    total = losses.get("loss")
    text = f"loss {_number(total)}" if isinstance(total, (int, float)) else ""
    return f"{text} ({', '.join(parts)})" if len(parts) > 1 else text


def _validation(row: EpochRow) -> str:
    """The validation score of this epoch, and of the one whose weights are kept so far."""
    is_loss = row.validation_loss is not None
    value = row.validation_loss if is_loss else row.validation_accuracy
    if value is None:
        return ""
    score = _number if is_loss else _percent
    best = "" if row.kept_validation is None else f" (kept {score(row.kept_validation)} at {row.kept_epoch})"
    return f"validation{' loss' * is_loss} {score(value)}{' (kept)' if row.kept_epoch == row.epoch else best}"


def _silent(row: EpochRow) -> str:
    if row.validation_silent is None or not row.validation_count:
        return ""
    return f"silent {_percent(silent) if (silent := row.validation_silent / row.validation_count) else '0 %'}"


def _rates(rates: Mapping[str, float]) -> str:
    """Spikes per neuron and step of each layer, in percent."""
    shares = [100 * rate for rate in rates.values()]
    if not shares:
        return ""
    if len(shares) > RATES_SHOWN:
        return f"rates {min(shares):.1f} to {max(shares):.1f} % in {len(shares)} layers"
    return f"rates {'/'.join(f'{share:.1f}' for share in shares)} %"


def _time_left(rows: Sequence[EpochRow], epochs: int) -> str:
    """The duration of the epochs that are left, from the mean of the last ones."""
    if not epochs:
        return ""
    recent = rows[-RECENT_EPOCHS:]
    minutes, seconds = divmod(round(epochs * sum(row.seconds for row in recent) / len(recent)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"


def _share(name: str, value: float | None) -> str:
    return "" if value is None else f"{name} {_percent(value)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return f"{value:.3g}"
