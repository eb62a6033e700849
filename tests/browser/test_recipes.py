"""The recipes for browsers, end to end: a real headless Chromium, a local page, and the sandbox over HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from login_site import LoginSite
from playwright.sync_api import sync_playwright
from playwright_sync import sign_in

from captchahub import AllProvidersFailed, Hub, Image

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"


@pytest.mark.parametrize("recipe", ["playwright_sync.py", "playwright_async.py", "selenium_sync.py"])
def test_a_recipe_signs_in(recipe: str) -> None:
    # A warning would mean that the hub blocks an event loop of the browser's library.
    command = [sys.executable, "-W", "error::RuntimeWarning", str(RECIPES / recipe)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (ran.stdout, ran.returncode) == ("right\n", 0), ran.stderr


def test_at_a_device_scale_factor_of_2_the_picture_is_another() -> None:
    with (
        LoginSite() as site,
        Hub.from_mapping(site.configuration) as hub,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=shutil.which("chromium"), chromium_sandbox=os.getuid() != 0
        ) as browser,
    ):
        widths: list[int] = []
        for factor in (1, 2):
            page = browser.new_page(device_scale_factor=factor)
            page.goto(site.url)
            captcha = page.locator("#captcha")
            captcha.evaluate("image => image.decode()")
            widths.append(Image.from_bytes(captcha.screenshot()).width)
        assert widths[1] == 2 * widths[0]
        with pytest.raises(AllProvidersFailed):
            sign_in(page, hub, site.url)
