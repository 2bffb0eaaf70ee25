"""Rows of the comparison of deep students."""

from __future__ import annotations

import deep_students


def test_rows_are_differences_over_the_first_training():
    """40 recordings: the second training is right on five more and wrong on one that the first has right, (5 - 1) / 40.

    The interval by hand, Bonett and Price with 42: p = 6/42, q = 2/42, d = 4/42, half width
    1.95996 sqrt((8/42 - (4/42)^2) / 42) = 0.12880.
    """
    first, second = "1" * 20 + "0" * 20, "1" * 19 + "0" + "1" * 5 + "0" * 15
    trials = [
        {"setting": "distillation.method=baseline", "correct_quantized": first, "seconds": 31.4},
        {"setting": "distillation.method=ckd", "correct_quantized": second, "seconds": 60.6},
    ]
    shares = {"accuracy_float": 0.525, "accuracy_quantized": 0.5}
    found = deep_students.rows({"trials": [trial | shares for trial in trials]})
    assert found == [
        ("baseline", "52.5", "50.0", "", "31"),
        ("ckd", "52.5", "50.0", "+10.0 (-3.4 to +22.4)", "61"),
    ]


def test_the_command_names_network_methods_and_folder(tmp_path):
    words = deep_students.words_of("vgg-snn", tmp_path).split()
    assert words[:2] == ["sweep", "digits"]
    assert "student.network=vgg-snn" in words
    assert words[-1] == str(tmp_path / "vgg-snn")
