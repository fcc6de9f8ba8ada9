"""A browser without a window: Chromium, driven over the HTTP of chromedriver (W3C WebDriver)."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's id in an answer (W3C WebDriver)."""
PATIENCE_MS = 20_000
"""How many milliseconds to look for something on a page before giving up."""
MUST_RUN = "CLIO_BROADLY_SYNC_BROWSER_TESTS"
"""The environment variable that turns a missing browser into a failure."""


class Browser:
    """One window of the browser."""

    def __init__(self, driver: str, options: Mapping[str, Any]) -> None:
        self._http = requests.Session()
        self._http.trust_env = False
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        capabilities = {"alwaysMatch": wanted}
        made = self._call("POST", f"{driver}/session", {"capabilities": capabilities})
        self._session = f"{driver}/session/{made['sessionId']}"
        self._call("POST", f"{self._session}/timeouts", {"implicit": PATIENCE_MS})

    def go(self, url: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": url})

    def press(self, label: str) -> None:
        """Press the button with this label."""
        button = self._find(f'//button[.="{label}"]')
        self._call("POST", f"{button}/click", {})

    def heading(self, text: str) -> str:
        """Wait for a page with this heading, and return its address."""
        self._find(f'//h1[.="{text}"]')
        return str(self._call("GET", f"{self._session}/url"))

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns that runs in the page, whatever the page allows itself."""
        body = {"script": script, "args": arguments}
        return self._call("POST", f"{self._session}/execute/sync", body)

    def wait_for(self, script: str, *arguments: Any) -> Any:
        """Return what a script gives to its last argument, a function."""
        body = {"script": script, "args": arguments}
        return self._call("POST", f"{self._session}/execute/async", body)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Return the answer to a command of the Chrome DevTools Protocol."""
        body = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self._session}/goog/cdp/execute", body)

    def said(self) -> list[Any]:
        """Return what the console has said since it was asked last."""
        said = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return list(said)

    def close(self) -> None:
        self._call("DELETE", self._session)
        self._http.close()

    def _find(self, path: str) -> str:
        wanted = {"using": "xpath", "value": path}
        found = self._call("POST", f"{self._session}/element", wanted)
        return f"{self._session}/element/{found[ELEMENT]}"

    def _call(self, method: str, url: str, body: Any = None) -> Any:
        answer = self._http.request(method, url, json=body, timeout=60)
        value = answer.json()["value"]
        assert answer.ok, f"{value['error']}: {value['message']}"
        return value


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Yield a browser with a profile of its own, for as long as the context lasts.

    Where no browser is installed, skip the test, or let it fail if `MUST_RUN` is set.
    """
    driver, program = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or program is None:
        missing = "Debian's chromium and chromium-driver are not installed"
        if os.environ.get(MUST_RUN):
            pytest.fail(f"{missing}, and {MUST_RUN} is set")
        pytest.skip(missing)
    places = {name: str(folder / name) for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR")}
    for place in places.values():
        Path(place).mkdir(mode=0o700)
    options = {"binary": program, "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"]}
    with subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, text=True, env={"PATH": os.defpath, **places}
    ) as process:
        try:
            browser = Browser(f"http://127.0.0.1:{_port(process)}", options)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            process.terminate()


def _port(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    said = next(line for line in process.stdout if "started successfully on port" in line)
    return int(said.rstrip(".\n").rpartition(" ")[2])
