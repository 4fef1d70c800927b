"""The report as a page: what it says, and what a real browser makes of it."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from results import a_result, histogram

from oadr2.fleet.report import report_page
from oadr2.fleet.result import Result, merge_results

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
PLOTS = {"throughput", "latency", "distribution", "propagation", "errors", "active"}
THRESHOLDS = ["p99 < 1s", "errors < 0.1%", "propagation p99 < 30s"]


def plots_in(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="plots">(.*?)</script>', page, re.S)
    assert found is not None
    plots: dict[str, dict[str, object]] = json.loads(found[1])
    return plots


class Reader(HTMLParser):
    """The text of a page, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag in ("meta", "link", "br"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)


def read(page: str) -> tuple[str, list[str]]:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return " ".join(" ".join(reader.words).split()), reader.addresses


def test_what_the_page_says() -> None:
    page = report_page(a_result(thresholds=THRESHOLDS))
    text, addresses = read(page)
    for words in (
        "<evening> & peak",
        "500 VENs for 30 s, against https://vtn.example",
        "1 of 3 thresholds broken",
        "errors < 0.1% it was 4.92 %",
        "The generator kept its schedule",
        "oadrRequestEvent 1,800",
        "http_5xx an HTTP status from 500 to 599 60",
        "machine-0",
        'kind = "ramp"',
    ):
        assert words in text, words
    assert addresses == ["data:,"]
    assert "<evening>" not in page


def test_every_plot_has_its_data() -> None:
    plots = plots_in(report_page(a_result()))
    assert set(plots) == PLOTS
    for name, plot in plots.items():
        xs, series = plot["xs"], plot["series"]
        assert isinstance(xs, list)
        assert isinstance(series, list)
        assert xs == sorted(xs), name
        assert all(len(each["values"]) == len(xs) for each in series), name
    throughput = plots["throughput"]["series"]
    assert [each["values"][3] for each in throughput] == [60.0, 50.0]  # type: ignore[index, attr-defined]
    latency = {each["name"]: each["values"] for each in plots["latency"]["series"]}  # type: ignore[attr-defined]
    assert latency["p50"][0] == pytest.approx(3900, rel=0.01)
    seen = plots["propagation"]["series"][0]["values"]  # type: ignore[index]
    assert seen[0] <= 1
    assert seen[-1] == 100
    bands = [(band["at"], band["label"]) for band in plots["throughput"]["bands"]]  # type: ignore[attr-defined]
    assert bands == [(0.0, "ramp"), (10.0, "hold")]


def test_nothing_is_drawn_of_what_was_not_measured() -> None:
    bare = replace(a_result(), propagation={}, errors={}, series=())
    assert set(plots_in(report_page(bare))) == {"distribution"}
    quiet = replace(
        a_result(),
        errors={},
        series=tuple(
            replace(point, errors={}, counters={"polls": 50}) for point in a_result().series
        ),
    )
    page = report_page(quiet)
    assert set(plots_in(page)) == PLOTS - {"errors"}
    assert "No exchange failed." in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "No thresholds were set"),
        (
            {"saturation": ("2 of 9 polls were sent late",)},
            "was itself the bottleneck: 2 of 9 polls",
        ),
        ({"interrupted": True}, "ended before its time"),
        ({"shards": 3}, "2 of 3 parts are not in here"),
        ({"scenario": "of another version"}, "No thresholds were set"),
    ],
)
def test_what_qualifies_the_figures_stands_at_the_top(
    changes: dict[str, object], words: str
) -> None:
    page = report_page(replace(a_result(), **changes))  # type: ignore[arg-type]
    assert words in read(page)[0]


def test_many_classes_of_errors_share_the_colours() -> None:
    point = replace(a_result().series[0], errors={f"oadr_{450 + n}": n + 1 for n in range(9)})
    series = plots_in(report_page(replace(a_result(), series=(point,))))["errors"]["series"]
    assert isinstance(series, list)
    assert [each["name"] for each in series][:2] == ["oadr_458", "oadr_457"]
    assert series[-1]["name"] == "5 others"
    assert sum(each["values"][0] for each in series) == sum(range(1, 10))


# --- in a browser ---------------------------------------------------------------------

Browse = Callable[..., tuple[str, str]]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Open a page in Chromium; its DOM afterwards, and what it complained of."""
    if CHROMIUM is None:
        reason = "no Chromium is installed (Debian: chromium)"
        if os.environ.get("OADR2_REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)

    def run(page: str, *options: str) -> tuple[str, str]:
        file = tmp_path / "page.html"
        file.write_text(page, "utf-8")
        done = subprocess.run(
            [
                CHROMIUM,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"),
                *("--virtual-time-budget=5000", "--dump-dom", *options),
                file.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, "\n".join(complaints)

    return run


def merged_result() -> Result:
    parts = [(f"part {index}", a_result(index, 2, thresholds=THRESHOLDS)) for index in range(2)]
    return merge_results(parts)


@pytest.mark.parametrize(
    "options",
    [
        ("--window-size=1200,900",),
        ("--window-size=500,900", "--blink-settings=preferredColorScheme=0"),
    ],
    ids=["wide and light", "narrow and dark"],
)
def test_a_browser_draws_every_plot(browse: Browse, options: tuple[str, ...]) -> None:
    dom, complaints = browse(report_page(merged_result()), *options)
    assert complaints == ""
    assert f'data-drawn="{len(PLOTS)}"' in dom
    for name in PLOTS:
        place = re.search(rf'<div class="plot" id="{name}"[^>]*>(.*?)</svg>', dom, re.S)
        assert place is not None, name
        marks = re.findall(r"<(?:path|rect) ", place[1])
        assert len(marks) >= (30 if name == "errors" else 2), name
        assert "NaN" not in place[1], name
        assert "undefined" not in place[1], name


def test_a_pointer_reads_values_out(browse: Browse) -> None:
    """A script in the page moves a pointer over a plot and presses a key on another."""
    act = """<script>
      const over = document.getElementById("throughput"), box = over.getBoundingClientRect();
      over.dispatchEvent(new PointerEvent("pointermove",
        {clientX: box.left + box.width * 0.999, clientY: box.top + 50, bubbles: true}));
      const key = document.getElementById("errors");
      key.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
    </script>"""
    page = report_page(merged_result()).replace("</body>", f"{act}</body>")
    dom, complaints = browse(page, "--window-size=1200,900")
    assert complaints == ""
    tips = [read(tip)[0] for tip in re.findall(r'<div class="tip".*?</div></div>', dom, re.S)]
    assert "0:30 exchanges/s 120 polls/s 100" in tips
    assert "0:02 http_5xx 4 timeout 2" in tips


def test_a_page_with_hardly_anything_is_drawn_too(browse: Browse) -> None:
    point = replace(a_result().series[0], errors={"dns": 1})
    dom, complaints = browse(report_page(replace(a_result(), series=(point,), propagation={})))
    assert complaints == ""
    assert 'data-drawn="5"' in dom
    assert "NaN" not in dom


def test_exchanges_never_answered_are_errors_on_the_page() -> None:
    silent = replace(a_result(), errors={}, counters={"polls": 20, "abandoned": 20})
    text = read(report_page(silent))[0]
    assert "20 failed" in text
    assert "unanswered" in text
    assert "20 failed" not in read(report_page(replace(silent, interrupted=True)))[0]


def test_a_vtn_that_refused_everything_has_no_latency_and_a_hundred_per_cent_of_errors() -> None:
    """Nothing measured is not 0 us, and all is not 1e+02 %."""
    points = tuple(
        replace(point, errors={"http_5xx": 50}, latency=histogram([]))
        for point in a_result().series
    )
    refused = replace(
        a_result(thresholds=["errors < 0.1%"]),
        counters={"polls": 1500, "exchanges": 1500},
        errors={"http_5xx": 1500},
        latency={},
        latency_from_intended={},
        series=points,
    )
    page = report_page(refused)
    text = read(page)[0]
    assert "e+02" not in text
    assert "it was 100 %" in text
    assert "p90 -" in text
    assert "0 µs" not in text
    assert "Nothing was measured: no answer held a message." in page


def test_nothing_is_cut_off_where_the_page_is_400_pixels_wide(browse: Browse) -> None:
    look = """
        const cut = [...this.contentDocument.querySelectorAll('body *')].filter(
            element => element.tagName != 'PRE' && element.clientWidth
                && element.scrollWidth > element.clientWidth);
        document.title = 'cut: ' + cut.map(element => element.className || element.tagName);
    """
    page = html.escape(report_page(merged_result()))
    style = "width:400px;height:9000px;border:0"
    dom, complaints = browse(f'<iframe style="{style}" srcdoc="{page}" onload="{look}"></iframe>')
    assert not complaints
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert title[1] == "cut: "
