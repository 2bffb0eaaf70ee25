"""Energies that others measured: values typed in a second time, and a microcontroller by hand."""

from __future__ import annotations

import pytest

from spikeport.hardware_profiles.measured_elsewhere import measured_elsewhere, microcontroller


def test_values_typed_in_a_second_time() -> None:
    """In mJ, from the publications; the products of power and time of Yao et al., Table 1, are calculated here."""
    found = {point.id: point.energy_uj / 1e3 for point in measured_elsewhere()}
    assert found == pytest.approx(
        {
            "loihi1-kws": 0.2716,
            "movidius-kws": 1.5,
            "xeon-kws-batch1": 15.7,
            "xeon-kws-batch64": 0.79,
            "stm32l4r5-resnet8": 17.755,
            "stm32l4r5-dscnn": 5.627,
            "loihi2-pilotnet-dynamic": 1.094,
            "loihi2-pilotnet-total": 1.661,
            "speck-gesture-dynamic-snn": 3.8 * 0.54,  # mW times s
            "speck-gesture": 9.5 * 0.54,
            "rtx3090-gesture": 30_078 * 0.0247,
            "rtx3090-gesture-dynamic": 78 * 0.0247,
            "loihi1-nmnist-620": 0.62,
            "loihi1-nmnist-290": 0.29,
            "speck-nmnist": 0.18,
            "loihi2-pilotnet-without-host": 0.09,
            "loihi2-pilotnet-with-host": 1.26,
            "loihi2-shd": 0.46,
            "odin-mnist": 15e-6,
        },
        rel=1e-12,
    )


def test_what_was_not_read_says_so() -> None:
    for point in measured_elsewhere():
        if "not identified" in point.source or "not read" in point.locator or "abstract" in point.locator:
            assert (point.grade, point.derived) == ("secondary", False)


def test_a_microcontroller_by_hand() -> None:
    """1.4204 nJ of ResNet-8 (17.755 mJ / 12.5 M) and 2.1154 nJ of DS-CNN (5.627 mJ / 2.66 M), times 163,520."""
    found = microcontroller(163_520)
    low, high = 17.755e6 / 12.5e6, 5.627e6 / 2.66e6
    ends = found.energy_uj
    assert (ends.low, ends.high) == pytest.approx((low * 163.52, high * 163.52), rel=1e-12)
    assert ends.nominal == pytest.approx((low * high) ** 0.5 * 163.52, rel=1e-12)
    assert (round(ends.low), round(ends.high)) == (232, 346)
    assert found.basis.startswith("modeled")
