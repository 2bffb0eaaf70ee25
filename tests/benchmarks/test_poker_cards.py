"""The split of the benchmark of playing cards: groups by gaps in time, none of which stands on both sides."""

from __future__ import annotations

import numpy as np
from poker_cards import SYMBOLS, Card, groups_of, page, split_of


def cards() -> list[Card]:
    """30 groups of four recordings; cards of a group follow each other within 40 ms, groups within 60 ms."""
    names, found, now = list(SYMBOLS), [], 0
    for group in range(30):
        for each in range(4):
            found.append(Card(names[(group + each) % 4], f"g{group}c{each}", now, now + 20_000))
            now += 20_000 + 40_000
        now += 20_001 - 10_000
    return found


def test_a_gap_of_more_than_50_ms_begins_a_group() -> None:
    assert groups_of(cards()).tolist() == [group for group in range(30) for _ in range(4)]
    one = [Card("club", "a", 0, 10), Card("club", "b", 50_010, 50_020), Card("club", "c", 100_021, 100_030)]
    assert groups_of(one).tolist() == [0, 0, 1]


def test_no_group_is_trained_on_and_tested() -> None:
    found = cards()
    for draw in range(5):
        rows = [line.split(",") for line in split_of(found, groups_of(found), 20, draw).splitlines()[1:]]
        sides = {part: {row[2] for row in rows if row[1] == part} for part in ("train", "test", "unused")}
        assert not (sides["train"] | sides["unused"]) & sides["test"]
        train = [row[0].split("/")[0] for row in rows if row[1] == "train"]
        assert (len(train), set(train)) == (20, set(SYMBOLS))
        assert len(rows) == len(found)
    texts = {split_of(found, groups_of(found), 20, draw) for draw in range(5)}
    assert len(texts) == 5
    assert np.unique([row[0] for row in rows]).size == len(rows)


def test_the_page_lists_what_auto_has_chosen_by_draw() -> None:
    found = {f"20/{draw}/baseline": {"student": 70.0, "quantized": 71.0 + draw} for draw in range(2)}
    found |= {
        f"20/{draw}/auto": {"student": 80.0, "quantized": 75.0 + 3 * draw, "chosen": name}
        for draw, name in enumerate(("synthetic-events", "baseline"))
    }
    lines = page(found, [20], ["baseline", "auto"], 2)
    head, row = (next(line for line in lines if line.startswith(name)) for name in ("trained with", "auto"))
    assert head.split()[-1] == "chosen"
    assert row.split()[1:5] == ["80.0", "76.5", "75.0", "78.0"]
    assert row.split()[-2:] == ["synthetic-events,", "baseline"]
    assert "chosen" not in "\n".join(page(found, [20], ["baseline"], 2))
