"""How long the pages of the built book take to open in Chromium, served from this machine.

Every opening starts with an empty cache. A page counts as open when all it needs is loaded and its maths is set.
"""

import shutil
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BUILT = Path(__file__).parent.parent / "book" / "_build" / "html"
OPENED = """async () => {
    await window.MathJax?.startup.promise;
    return Math.max(performance.now(), performance.getEntriesByType('navigation')[0].loadEventEnd) / 1000;
}"""


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the rows are what is to be read."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: the browser hangs up when a page is closed."""


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """Seconds to open each page, the median of five times and the longest, and its size without pictures."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    pages = [path for path in sorted(BUILT.rglob("*.html")) if "<article" in path.read_text()]
    if device != "cpu" or chromium is None or not pages:
        print("skipped: it takes Chromium and a book that is built")
        return []
    from playwright.sync_api import sync_playwright

    rows = []
    with served(BUILT) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for path in pages[:1] if quick else pages:
            seconds = []
            for _ in range(1 if quick else 5):
                context = browser.new_context()
                page = context.new_page()
                page.goto(f"{address}/{path.relative_to(BUILT)}")
                seconds.append(page.evaluate(OPENED))
                context.close()
            median, longest = round(statistics.median(seconds), 3), round(max(seconds), 3)
            rows.append({"page": path.stem, "bytes": path.stat().st_size, "seconds": median, "longest": longest})
            print(rows[-1], flush=True)
        browser.close()
    return rows


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served while this lasts."""
    server = _Server(("127.0.0.1", 0), partial(_Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
