"""Solve a captcha on a page with Selenium."""

import os
import shutil

from login_site import LoginSite
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from captchahub import Hub, Image, ImageToText


def sign_in(driver: Chrome, hub: Hub, url: str) -> str:
    """Type what the captcha shows, and return what the site says."""
    driver.get(url)
    captcha = driver.find_element(By.ID, "captcha")
    # Wait until the picture is loaded. An image without a source is complete too, and has no width.
    WebDriverWait(driver, 10).until(
        lambda _: captcha.get_attribute("complete") and captcha.get_attribute("naturalWidth") != "0"
    )
    task = ImageToText(Image.from_bytes(captcha.screenshot_as_png))
    driver.find_element(By.ID, "answer").send_keys(hub.solve(task).solution.text)
    driver.find_element(By.ID, "send").click()
    verdict = WebDriverWait(driver, 10).until(lambda driver: driver.find_element(By.ID, "verdict"))
    return verdict.text


def main() -> None:
    """Sign in at the local site."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    options.add_argument("--headless=new")
    # One pixel of the screenshot for each pixel of the page.
    options.add_argument("--force-device-scale-factor=1")
    if os.getuid() == 0:
        # The sandbox of Chromium does not work as root.
        options.add_argument("--no-sandbox")
    with (
        LoginSite() as site,
        Hub.from_mapping(site.configuration) as hub,
        Chrome(options, ChromeService(shutil.which("chromedriver"))) as driver,
    ):
        print(sign_in(driver, hub, site.url))


if __name__ == "__main__":
    main()
