"""Draw the picture that stands for the book where it is linked to: a title, and the paper's accuracies against ours.

    python book/preview.py

Needs Chromium, and writes `book/_assets/preview.png`.
"""

import io
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from snslib.book.figures import defenses, use_style
from snslib.claims.numbers import accuracies, robustness
from snslib.study import results

FOLDER = "cifar10/vgg16-w0.25"  # of results/, as the text beside the figure says
ASSETS = Path(__file__).resolve().parent / "_assets"
PAGE = """
<body style="margin: 0; background: #fff; color: #1f2430; font-family: Helvetica, Arial, sans-serif">
<div style="position: absolute; left: 56px; top: 64px; width: 400px">
  <div style="width: 200px">{logo}</div>
  <h1 style="font-size: 46px; line-height: 1.12; font-weight: 600; margin: 44px 0 26px">
  Neuron sensitivity, recomputed</h1>
  <p style="font-size: 25px; line-height: 1.4; margin: 0 0 22px">
  A paper on adversarial robustness, as a book that runs.</p>
  <p style="font-size: 19px; line-height: 1.45; color: #4b5563">Right: accuracy under white-box attacks on CIFAR-10, as
  printed and as measured here with a VGG-16 at a quarter of the width.</p>
</div>
<div style="position: absolute; left: 500px; top: 34px; width: 740px">{figure}</div>
"""


def figure() -> str:
    """The figure as SVG, as wide as its place on the page."""
    use_style()
    strong = robustness.strong_name(results.records(FOLDER, "strong-accuracy"))
    written = io.StringIO()
    defenses.against_paper(accuracies.under_pgd(FOLDER, accuracies.HEADLINE), strong).savefig(written, format="svg")
    _, tag, svg = written.getvalue().partition("<svg")
    return f'{tag} style="width: 740px; height: auto"{svg}'


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(viewport={"width": 1280, "height": 640})
        page.set_content(PAGE.format(logo=(ASSETS / "logo.svg").read_text(), figure=figure()))
        page.screenshot(path=ASSETS / "preview.png")
        browser.close()


if __name__ == "__main__":
    main()
