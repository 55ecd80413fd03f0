"""The page as a browser lays it out: on a phone and on a desk, in light and in dark."""

import html
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.sample_run_reports import run_report
from tests.validation import sample_reports
from tunedrop.reporting.page import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# A browser is the machine's, no package of ours: without one the page's text is tested all the same, its looks are not.
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here to lay the page out with")

WIDTHS = (390, 1280)
THEMES = {"dark": 0, "light": 1}
"""As Blink counts them."""

# The page itself runs no script; what holds it in a frame may look into it.
MEASURE = """
const luminance = colour => {
  const parts = colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
  const linear = (colour.startsWith('color(') ? parts : parts.map(each => each / 255))
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const contrast = (one, other) => {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const outside = (frame, selector) => [...frame.contentDocument.querySelectorAll(selector)]
  .filter(each => {
    const box = each.getBoundingClientRect();
    return box.width && (box.left < -1 || box.right > frame.clientWidth + 1);
  })
  .map(each => each.textContent);
addEventListener('load', () => {
  const measured = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument, style = element => frame.contentWindow.getComputedStyle(element);
    return {
      width: page.documentElement.scrollWidth,
      paper: style(page.body).backgroundColor,
      outside: outside(frame, 'svg text, .figures dd, .verdict, h1, h2, .block'),
      overflowing: [...page.querySelectorAll('.figures div')].filter(e => e.scrollWidth > e.clientWidth).length,
      charts: [...page.querySelectorAll('svg.chart')].map(each => each.getBoundingClientRect().height),
      line: page.querySelector('polyline').getBoundingClientRect().width,
      cells: Math.min(...[...page.querySelectorAll('.matrix [class*="hit-"], .matrix [class*="miss-"]')]
        .map(each => contrast(style(each).color, style(each).backgroundColor))),
    };
  });
  document.getElementById('measured').textContent = JSON.stringify(measured);
});
"""


@cache
def laid_out(theme: str, folder: Path) -> list[dict[str, Any]]:
    """Let the browser lay the page out at all widths; returns what it measured at each."""
    page = html.escape(render(run_report(validation=sample_reports.report())))
    frames = "".join(
        f'<iframe width="{width}" height="900" style="border:0" srcdoc="{page}"></iframe>' for width in WIDTHS
    )
    holder = folder / f"{theme}.html"
    holder.write_text(
        f'<!doctype html><meta charset="utf-8"><script>{MEASURE}</script>{frames}<pre id="measured"></pre>',
        encoding="utf-8",
    )
    assert BROWSER
    done = subprocess.run(
        [
            BROWSER,
            *(
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={folder / 'profile'}",
            ),
            *(f"--blink-settings=preferredColorScheme={THEMES[theme]}", "--dump-dom", holder.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (measured,) = re.findall(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    found: list[dict[str, Any]] = json.loads(html.unescape(measured))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_fits_a_phone_and_a_desk_in_both_themes(theme: str, folder: Path) -> None:
    for width, seen in zip(WIDTHS, laid_out(theme, folder), strict=True):
        assert seen["width"] == width
        assert seen["outside"] == []
        assert seen["overflowing"] == 0
        assert len(seen["charts"]) == 3
        assert all(50 < height < 300 for height in seen["charts"])
        assert seen["line"] > 0.6 * min(width, 54 * 16)


@pytest.mark.parametrize(("theme", "paper"), [("light", "rgb(252, 252, 250)"), ("dark", "rgb(22, 24, 28)")])
def test_the_page_follows_the_reader_s_theme_and_its_cells_stay_legible(theme: str, paper: str, folder: Path) -> None:
    for seen in laid_out(theme, folder):
        assert seen["paper"] == paper
        assert seen["cells"] >= 4.5
