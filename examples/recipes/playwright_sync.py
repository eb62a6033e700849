"""Solve a captcha on a page with Playwright's synchronous API."""

import os
import shutil

from login_site import LoginSite
from playwright.sync_api import Page, sync_playwright

from captchahub import Hub, Image, ImageToText


def sign_in(page: Page, hub: Hub, url: str) -> str:
    """Type what the captcha shows, and return what the site says."""
    page.goto(url)
    captcha = page.locator("#captcha")
    captcha.evaluate("image => image.decode()")  # wait until the picture is loaded
    task = ImageToText(Image.from_bytes(captcha.screenshot()))
    page.fill("#answer", hub.solve(task).solution.text)
    page.click("#send")
    return page.inner_text("#verdict")


def main() -> None:
    """Sign in at the local site."""
    with (
        LoginSite() as site,
        Hub.from_mapping(site.configuration) as hub,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            # Without a Chromium of the system, the one that `playwright install` has downloaded is used.
            executable_path=shutil.which("chromium"),
            # The sandbox of Chromium does not work as root.
            chromium_sandbox=os.getuid() != 0,
        ) as browser,
    ):
        # One pixel of the screenshot for each pixel of the page.
        page = browser.new_page(device_scale_factor=1)
        print(sign_in(page, hub, site.url))


if __name__ == "__main__":
    main()
