"""Chatchat's web page in Chromium, as a person uses it: choose the page, write a question, read the answer and what it is from."""

import subprocess
from functools import cache
from pathlib import Path

from uv import find_uv_bin

from support.engines import Sandbox
from support.process import HANG_S

__all__ = ["ask_page"]

_SELENIUM = ("tool", "run", "--quiet", "--from", "selenium==4.45.0", "python", "-I")
_PROGRAM = """
import sys
from selenium import webdriver
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

url, question, expected, picture, seconds = sys.argv[1:]
options = webdriver.ChromeOptions()
options.binary_location = "/usr/bin/chromium"
for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1100,760"):
    options.add_argument(flag)
with webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver")) as browser:
    wait = WebDriverWait(browser, float(seconds), ignored_exceptions=(Exception,))

    def click(text):
        # Streamlit's components are in frames of their own.
        browser.switch_to.default_content()
        for frame in [None, *browser.find_elements(By.TAG_NAME, "iframe")]:
            browser.switch_to.default_content()
            if frame is not None:
                browser.switch_to.frame(frame)
            for found in browser.find_elements(By.XPATH, f"//*[normalize-space(text())='{text}']"):
                found.click()
                browser.switch_to.default_content()
                return True
        browser.switch_to.default_content()
        return False

    def text():
        return browser.find_element(By.TAG_NAME, "body").text

    browser.get(url)
    try:
        wait.until(lambda _: click("RAG 对话"))
        wait.until(lambda _: "请选择知识库" in text())
        wait.until(lambda _: browser.find_element(By.TAG_NAME, "textarea").send_keys(question, Keys.ENTER) is None)
        wait.until(lambda _: expected in text().replace("\\n", ""))
        click("知识库匹配结果")
        wait.until(lambda _: "出处" in text())
    finally:
        browser.save_screenshot(picture)
        print(text())
"""


@cache
def _python() -> str:
    """Return a Python with Selenium. It is made outside of the sandboxes, which have no network."""
    done = subprocess.run(
        [find_uv_bin(), *_SELENIUM, "-c", "import sys; print(sys.executable)"], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def ask_page(sandbox: Sandbox, url: str, question: str, expected: str) -> tuple[str, Path]:
    """Ask the knowledge base on the page at a URL, and wait for an answer with a text. Return what the page then says, and its picture."""
    picture = sandbox.folder("browser") / "page.png"
    words = [_python(), "-I", "-c", _PROGRAM, url, question, expected, str(picture), str(HANG_S / 4)]
    return sandbox.run(words).stdout, picture
