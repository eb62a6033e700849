"""Solve a captcha on a page with Playwright's asynchronous API."""

import asyncio
import os
import shutil

from login_site import LoginSite
from playwright.async_api import Page, async_playwright

from captchahub import AsyncHub, Image, ImageToText


async def sign_in(page: Page, hub: AsyncHub, url: str) -> str:
    """Type what the captcha shows, and return what the site says."""
    await page.goto(url)
    captcha = page.locator("#captcha")
    await captcha.evaluate("image => image.decode()")  # wait until the picture is loaded
    result = await hub.solve(ImageToText(Image.from_bytes(await captcha.screenshot())))
    await page.fill("#answer", result.solution.text)
    await page.click("#send")
    return await page.inner_text("#verdict")


async def main() -> None:
    """Sign in at the local site."""
    with LoginSite() as site:
        async with (
            AsyncHub.from_mapping(site.configuration) as hub,
            async_playwright() as playwright,
            await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), chromium_sandbox=os.getuid() != 0
            ) as browser,
        ):
            page = await browser.new_page(device_scale_factor=1)
            print(await sign_in(page, hub, site.url))


if __name__ == "__main__":
    asyncio.run(main())
