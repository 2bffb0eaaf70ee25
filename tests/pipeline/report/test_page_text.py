"""Text of pages: units stay with their numbers, sources are links, and times are readable."""

from __future__ import annotations

import pytest

from spikeport.pipeline.report.content.page_text import NO_BREAK, day, keep_units, linked, short_digests


def test_a_unit_stays_with_its_number_in_text_alone() -> None:
    page = '<style>p { margin: 5 %; }</style><pre>--dt 5 ms</pre><p title="5 ms">5 ms, 95 % and 5 mst, x ms</p>'
    assert keep_units(page) == (
        '<style>p { margin: 5 %; }</style><pre>--dt 5 ms</pre><p title="5 ms">'
        f"5{NO_BREAK}ms, 95{NO_BREAK}% and 5 mst, x ms</p>"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Frady et al., NICE 2020, arXiv 2004.12691", "https://arxiv.org/abs/2004.12691"),
        ("(arXiv:1812.01739v2)", "https://arxiv.org/abs/1812.01739"),
        ("10.1109/MM.2018.112130359, p. 96", "https://doi.org/10.1109/MM.2018.112130359"),
    ],
)
def test_sources_are_links(text: str, address: str) -> None:
    assert f'href="{address}"' in linked(text)
    assert linked(text).striptags() == text


def test_other_text_is_escaped_and_has_no_link() -> None:
    assert linked('<b onclick="x">1.05 to 9.53, 2004.12691</b>') == (
        "&lt;b onclick=&#34;x&#34;&gt;1.05 to 9.53, 2004.12691&lt;/b&gt;"
    )
    assert "href" not in linked("javascript:alert(1), http://evil, https://evil/10.x")


def test_times_and_digests() -> None:
    assert day("2026-01-03T23:30:00-05:00") == "4 Jan 2026, 04:30 UTC"  # into the next day
    assert day("today") == "today"
    assert day("2026-01-03T23:30:00") == "2026-01-03T23:30:00"  # no zone
    assert short_digests(f"a {'0123456789abcdef' * 4} b") == "a 0123456789ab… b"
