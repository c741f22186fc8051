"""
The built pages in a browser: ``python -m tests.site FOLDER``, with Chromium or Chrome installed.

Each page is opened as wide as a phone and as a desk, light and dark, and everything to unfold is unfolded. Nothing then
is wider than the page, but what scrolls in a box of its own, and the browser reports no error. With ``--to PICTURES``,
each is drawn into that folder.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTHS = {"phone": 360, "desk": 1280}
SCHEMES = ("light", "dark")
#: What is wider than the boxes that should not scroll: the window, and the column of the text.
WIDER = """
document.querySelectorAll("details").forEach(each => each.open = true);
[document.documentElement, document.querySelector(".content")].filter(box => box && box.scrollWidth > box.clientWidth)
  .flatMap(box => {
    const scrolls = each =>
      each !== box && (getComputedStyle(each).overflowX !== "visible" || scrolls(each.parentElement));
    const right = each => each.getBoundingClientRect().right;
    const edge = box.getBoundingClientRect().left + box.clientWidth;
    return [...box.querySelectorAll("*")]
      .filter(each => right(each) > edge + 1 && !scrolls(each.parentElement))
      .sort((one, other) => right(one) - right(other))
      .slice(-1).map(each => `${each.outerHTML.slice(0, 80)} in ${each.closest("[id]")?.id}`);
  })
"""


class Browser:
    """A page of a browser without a window, by the protocol of its developer tools."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._rest = to, back, b""
        self._session, self._count = dict[str, str](), 0
        self.events: deque[dict[str, Any]] = deque()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method, and wait for what it returns."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._count:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait_for(self, method: str) -> list[dict[str, Any]]:
        """Wait for an event; return all until then."""
        events = []
        while not events or events[-1].get("method") != method:
            events.append(self.events.popleft() if self.events else self._read())
        return events

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not (read := os.read(self._back, 1 << 16)):
                raise RuntimeError("the browser ended")
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Start one that listens to its third file, and answers in its fourth."""
    (get, to), (back, give) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={profile}"]
        command = ["sh", "-c", f'exec "$0" "$@" 3<&{get} 4>&{give}', path, *options]
        with subprocess.Popen(command, pass_fds=(get, give), stderr=subprocess.DEVNULL) as process:
            os.close(get), os.close(give)
            try:
                yield Browser(to, back)
            finally:
                process.terminate()
                os.close(to), os.close(back)


def faults_of_page(page: Browser, path: Path, width: int, scheme: str) -> list[str]:
    """Open a page; list what is wider than it, and the errors."""
    page.events.clear()
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Page.navigate", url=path.as_uri())
    events = page.wait_for("Page.loadEventFired")
    wider = page.call("Runtime.evaluate", expression=WIDER, returnByValue=True)["result"]["value"]
    events += page.events
    return [f"too wide: {each}" for each in wider] + [error for event in events for error in errors(event)]


def errors(event: dict[str, Any]) -> list[str]:
    """Give the error that an event of the browser is, if it is one: a file not found, or a script's."""
    match event:
        case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": text, **rest}}}:
            return [f"{text} {rest.get('url', '')}"]
        case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
            return [details.get("exception", {}).get("description", details["text"])]
        case {"method": "Runtime.consoleAPICalled", "params": {"type": "error", "args": values}}:
            return [f"console: {values}"]
    return []


def main() -> int:
    """Look at all pages; return 0 if there is nothing to say of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, metavar="PICTURES")
    parser.add_argument("--if-found", action="store_true", help="look at nothing where no browser is found")
    arguments = parser.parse_args()
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        message = f"none of these browsers is installed: {', '.join(BROWSERS)}"
        if not arguments.if_found:
            parser.error(message)
        print(message)
        return 0
    folder, count = arguments.folder.resolve(), 0
    pages = sorted(folder.rglob("*.html"))
    with browser(path) as page:
        for html, (device, width), scheme in product(pages, WIDTHS.items(), SCHEMES):
            name = html.relative_to(folder)
            for fault in faults_of_page(page, html, width, scheme):
                print(f"{name}, {device}, {scheme}: {fault}", file=sys.stderr)
                count += 1
            if arguments.to:
                arguments.to.mkdir(parents=True, exist_ok=True)
                shot = page.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
                picture = f"{name.with_suffix('').as_posix().replace('/', '-')}-{device}-{scheme}.png"
                (arguments.to / picture).write_bytes(base64.b64decode(shot))
    print(f"{len(pages)} pages, {count} faults")
    return 1 if count or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
