"""Checks report pages in a real browser: at phone, laptop and print size, light and dark.

    python benchmarks/report_pages.py PAGE.html ... [--out docs/screens] [--axe axe.min.js] [--chromium chromium]

For each page and view it records requests to the network, console messages, whether the page is wider than the view,
and, with axe-core's script (npm package `axe-core`, not part of this project), its findings with all details open. It
saves a screenshot of the top of each view (above the first recording) and prints the table that
docs/results/report_pages.txt contains. The exit code is 1 if there was a request, a message, a page too wide or a
serious finding.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VIEWS = {  # width, height of the view in CSS pixels, height of the picture, media, colors
    "phone-light": (390, 844, 1300, "screen", "light"),
    "phone-dark": (390, 844, 1300, "screen", "dark"),
    "laptop-light": (1280, 800, 1140, "screen", "light"),
    "laptop-dark": (1280, 800, 1140, "screen", "dark"),
    "print": (794, 1123, 1123, "print", "light"),  # A4 at 96 dpi
}
HEAD = ("page", "view", "requests", "messages", "wider", "axe serious", "axe minor")
SERIOUS = ("serious", "critical")


class Browser:
    """Chromium on a pipe, controlled by the DevTools protocol: NUL-terminated JSON on descriptors 3 and 4."""

    def __init__(self, program: str) -> None:
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        self.profile = tempfile.mkdtemp()
        flags = (
            "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
            f"--disable-component-update --disable-sync --remote-debugging-pipe --user-data-dir={self.profile}"
        )
        self.process = subprocess.Popen(
            f"exec {program} {flags} 3<&{theirs_read} 4>&{theirs_write}",
            shell=True,
            executable="/bin/bash",  # a plain sh knows no descriptors of two digits
            pass_fds=(theirs_read, theirs_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_read)
        os.close(theirs_write)
        self.reads, self.writes = os.fdopen(ours_read, "rb"), os.fdopen(ours_write, "wb")
        self.sent, self.rest, self.seen = 0, b"", []

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Result of one command; events that arrive before it are collected in `seen`."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        self.writes.write(json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        self.writes.flush()
        while True:
            answer = self._next()
            if answer.get("id") != self.sent:
                self.seen.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def wait(self, method: str) -> None:
        """Returns once this event has arrived."""
        while not any(event.get("method") == method for event in self.seen):
            self.seen.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            got = os.read(self.reads.fileno(), 1 << 20)
            if not got:
                raise RuntimeError("the browser has gone")
            self.rest += got
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def close(self) -> None:
        """Ends the browser and removes its profile."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


@dataclass(frozen=True)
class PageView:
    """Result of one view of one page. `findings`: those of axe, as (impact, rule, number of places)."""

    requests: list[str]
    messages: list[str]
    wider: bool
    findings: list[tuple[str, str, int]] | None
    picture: bytes


def open_page(browser: Browser, page: Path, view: str, axe: str | None) -> PageView:
    """Loads `page` in one view."""
    width, height, tall, media, colors = VIEWS[view]
    target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def tell(method: str, **parameters: Any) -> dict[str, Any]:
        return browser.ask(method, session, **parameters)

    for domain in ("Page", "Network", "Runtime", "Log"):
        tell(f"{domain}.enable")
    scale = 2 if view.startswith("phone") else 1
    tell(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
        mobile=view.startswith("phone"),
    )  # fmt: skip
    scheme = [{"name": "prefers-color-scheme", "value": colors}]
    tell("Emulation.setEmulatedMedia", media=media, features=scheme)
    browser.seen.clear()
    address = page.resolve().as_uri()
    tell("Page.navigate", url=address)
    browser.wait("Page.loadEventFired")
    value = tell("Runtime.evaluate", expression="document.documentElement.scrollWidth")["result"]["value"]
    clip = {"x": 0, "y": 0, "width": width, "height": tall, "scale": 1}
    shot = tell("Page.captureScreenshot", format="webp", quality=70, clip=clip, captureBeyondViewport=True)
    events = [(event["method"], event["params"]) for event in browser.seen if "method" in event]  # axe adds its own
    findings = None
    if axe:
        tell("Runtime.evaluate", expression="document.querySelectorAll('details').forEach(d => d.open = true)")
        tell("Runtime.evaluate", expression=axe)
        run = (
            "axe.run({resultTypes: ['violations']}).then(r => r.violations.map(v => [v.impact, v.id, v.nodes.length]))"
        )
        found = tell("Runtime.evaluate", expression=run, awaitPromise=True, returnByValue=True)
        findings = [tuple(each) for each in found["result"]["value"]]
    browser.ask("Target.closeTarget", targetId=target)
    asked = [what["request"]["url"] for name, what in events if name == "Network.requestWillBeSent"]
    messages = [str(what) for name, what in events if name in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
    messages += [what["entry"]["text"] for name, what in events if name == "Log.entryAdded"]
    return PageView(
        requests=[url for url in asked if url != address and not url.startswith("data:")],
        messages=messages,
        wider=value > width,
        findings=findings,
        picture=base64.b64decode(shot["data"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", metavar="NAME=PAGE", help="a page, by the name that its pictures get")
    parser.add_argument("--out", type=Path, default=Path("docs/screens"))
    parser.add_argument("--axe", type=Path)
    parser.add_argument("--chromium", default="chromium")
    options = parser.parse_args()
    axe = options.axe.read_text() if options.axe else None
    options.out.mkdir(parents=True, exist_ok=True)
    browser, bad = Browser(options.chromium), False
    version = browser.ask("Browser.getVersion")["product"]
    print(f"{version}; axe-core {'not run' if axe is None else axe[:200].split('axe v')[1].split()[0]}")
    print("  ".join(f"{word:12}" for word in HEAD).rstrip())
    try:
        for named in options.pages:
            name, _, path = named.rpartition("=")
            for view in VIEWS:
                seen = open_page(browser, Path(path), view, axe)
                (options.out / f"{name}-{view}.webp").write_bytes(seen.picture)
                found = seen.findings
                serious = [each for each in found or [] if each[0] in SERIOUS]
                counts = ["-", "-"] if found is None else [len(serious), len(found) - len(serious)]
                row = (name, view, len(seen.requests), len(seen.messages), "yes" if seen.wider else "no", *counts)
                print("  ".join(f"{word!s:12}" for word in row).rstrip())
                for line in (*seen.requests, *seen.messages, *(found or [])):
                    print(f"    {line}")
                bad |= bool(seen.requests or seen.messages or serious or seen.wider)
    finally:
        browser.close()
    sys.exit(int(bad))


if __name__ == "__main__":
    main()
