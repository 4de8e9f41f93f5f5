"""Take the picture of a report that stands in the README: `python docs/screenshot.py REPORT`.

The report is that of `striate train digits --epochs 20 --report`; needs Playwright and a Chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

OUT = Path(__file__).with_name("figures") / "report.png"
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")


def main() -> None:
    """Show the mistakes, one of them opened, and write what is seen."""
    report = Path(sys.argv[1]).resolve()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(
            viewport={"width": 1400, "height": 800}, reduced_motion="reduce", color_scheme="light"
        )
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        page.locator("#mistakes").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#mistakes').scrollIntoView()")
        page.locator("#mistakes .card").first.click()
        page.locator("#panel [data-look]").first.click()
        page.screenshot(path=OUT)
        browser.close()
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
