"""Speaks the DevTools protocol with a headless Chromium over a pipe (descriptors 3 and 4, messages end in NUL).

    with Browser() as browser:
        page = browser.page(width=1280, height=800)
        page.go("http://127.0.0.1:7861/")
        page.until("document.querySelector('h1')")
        assert page.js("document.title") == "..."

A page keeps what it has said: .console, .requests, .failures. Nothing but Python's library is needed.
"""
import base64
import collections
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE = 30
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def executable():
    """The path of a Chromium on this machine, or None. CHROMIUM names another."""
    for name in (os.environ.get("CHROMIUM"),) + NAMES:
        path = name and shutil.which(name)
        if path:
            return path
    return None


class CdpError(Exception):
    pass


class Browser:
    def __init__(self, *flags):
        path = executable()
        if not path:
            raise CdpError("there is no Chromium on this machine")
        self.folder = tempfile.mkdtemp(prefix="qcc-web-")
        to_read, self.to = os.pipe()
        self.back, to_write = os.pipe()
        argv = [path, "--headless", "--remote-debugging-pipe", "--user-data-dir=" + self.folder, "--no-first-run",
                "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
                "--disable-component-update", "--force-color-profile=srgb", "--font-render-hinting=none",
                *(["--no-sandbox"] if os.geteuid() == 0 else []), *flags, "about:blank"]

        def descriptors():
            # Both are moved out of the way first: one of them may be 3 or 4 already.
            a, b = os.dup(to_read), os.dup(to_write)
            while a in (3, 4):
                a = os.dup(a)
            while b in (3, 4):
                b = os.dup(b)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=descriptors, close_fds=False,
                                        start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        self.number = 0
        self.buffer = b""
        self.replies = {}
        self.pages = {}
        self.call("Browser.getVersion")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            try:
                self.call("Browser.close", timeout=5)
                self.process.wait(5)
            except (CdpError, OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        for fd in (self.to, self.back):
            try:
                os.close(fd)
            except OSError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def read(self, timeout):
        """Takes what has come in, waiting for it up to `timeout` seconds; whether anything came."""
        ready, _, _ = select.select([self.back], [], [], max(timeout, 0))
        if not ready:
            return False
        piece = os.read(self.back, 1 << 20)
        if not piece:
            raise CdpError("the browser has ended")
        *whole, self.buffer = (self.buffer + piece).split(b"\0")
        for text in whole:
            self.take(json.loads(text))
        return True

    def take(self, message):
        if "id" in message:
            self.replies[message["id"]] = message
            return
        page = self.pages.get(message.get("sessionId"))
        if page:
            page.take(message["method"], message["params"])

    def call(self, method, params=None, session=None, timeout=PATIENCE):
        self.number += 1
        n = self.number
        message = {"id": n, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + timeout
        while n not in self.replies:
            left = deadline - time.monotonic()
            if left <= 0:
                raise CdpError("no reply to %s in %g s" % (method, timeout))
            self.read(left)
        reply = self.replies.pop(n)
        if "error" in reply:
            raise CdpError("%s: %s" % (method, reply["error"]["message"]))
        return reply["result"]

    def page(self, width=1280, height=800, **more):
        """A new page in a context of its own: nothing stored by another is seen."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return Page(self, session, target, width, height, **more)


Request = collections.namedtuple("Request", "at method url")


class Page:
    def __init__(self, browser, session, target, width, height, lang="en-US", scheme="light", zone=None, motion=None):
        self.browser, self.session, self.target = browser, session, target
        self.console = []     # texts of console messages, exceptions and what the browser itself complains of
        self.requests = []
        self.responses = []   # (url, status, headers)
        self.failures = []
        self.handlers = {}
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(domain + ".enable")
        self.size(width, height)
        self.call("Network.setUserAgentOverride", {"userAgent": "qcc-test", "acceptLanguage": lang})
        self.media(scheme, motion)
        if zone:
            self.call("Emulation.setTimezoneOverride", {"timezoneId": zone})

    def call(self, method, params=None, timeout=PATIENCE):
        return self.browser.call(method, params, self.session, timeout)

    def take(self, method, p):
        if method == "Runtime.consoleAPICalled":
            self.console.append("%s: %s" % (p["type"], " ".join(
                str(a.get("value", a.get("description", ""))) for a in p["args"])))
        elif method == "Runtime.exceptionThrown":
            d = p["exceptionDetails"]
            self.console.append("exception: " + d.get("exception", {}).get("description", d["text"]))
        elif method == "Log.entryAdded":
            e = p["entry"]
            self.console.append("%s: %s %s" % (e["source"], e["text"], e.get("url", "")))
        elif method == "Network.requestWillBeSent":
            self.requests.append(Request(p["timestamp"], p["request"]["method"], p["request"]["url"]))
        elif method == "Network.responseReceived":
            r = p["response"]
            self.responses.append((r["url"], r["status"], r["headers"]))
        elif method == "Network.loadingFailed" and not p.get("canceled"):
            self.failures.append(p.get("errorText", ""))
        handler = self.handlers.get(method)
        if handler:
            handler(p)

    def size(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False})

    def media(self, scheme="light", motion=None, **more):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        if motion:
            features.append({"name": "prefers-reduced-motion", "value": motion})
        features += [{"name": k.replace("_", "-"), "value": v} for k, v in more.items()]
        self.call("Emulation.setEmulatedMedia", {"features": features})

    def go(self, url):
        self.call("Page.navigate", {"url": url})

    def js(self, expression, timeout=PATIENCE):
        """The value of an expression; a promise is waited for."""
        r = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True},
                      timeout)
        if "exceptionDetails" in r:
            d = r["exceptionDetails"]
            raise CdpError(d.get("exception", {}).get("description", d["text"]))
        return r["result"].get("value")

    def until(self, expression, timeout=PATIENCE):
        """Asks until the expression is true; its value. A page that is being loaded has none yet."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                value = self.js(expression)
            except CdpError as e:
                value, error = None, e
            else:
                error = None
            if value or value == {}:  # an element has no value of its own
                return value
            if time.monotonic() > deadline:
                text = ""
                try:
                    text = self.js("document.body.innerText") or ""
                except CdpError:
                    pass
                raise AssertionError("waited %g s in vain for %s%s\n%s\n%s" % (
                    timeout, expression, " (%s)" % error if error else "", "\n".join(self.console[-5:]), text[:1500]))
            self.wait(0.03)

    def wait(self, seconds):
        """Lets the browser work, and takes what it says."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.browser.read(left)

    KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
            "Home": 36, "End": 35, " ": 32, "Backspace": 8}

    def key(self, key, shift=False):
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        event = {"key": key, "modifiers": 8 if shift else 0,
                 "windowsVirtualKeyCode": self.KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)}
        event["code"] = key if len(key) > 1 else "Space" if key == " " else "Key" + key.upper()
        self.call("Input.dispatchKeyEvent", {"type": "keyDown" if text else "rawKeyDown", "text": text, **event})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    def type(self, text):
        self.call("Input.insertText", {"text": text})

    def click(self, selector):
        """A click of the mouse in the middle of the first element that matches; again if what has come meanwhile has moved it."""
        find = "document.querySelector(%s)" % json.dumps(selector)
        for _ in range(3):
            box = self.until("""(() => { const e = %s; if (!e) return null;
                window.hit = false; e.addEventListener('click', () => { window.hit = true; }, { capture: true, once: true });
                e.scrollIntoView({block: 'center', inline: 'center'}); const b = e.getBoundingClientRect();
                return b.width ? [b.x + b.width / 2, b.y + b.height / 2] : null })()""" % find)
            at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": box[0], "y": box[1]})
            self.call("Input.dispatchMouseEvent", {"type": "mousePressed", **at})
            self.call("Input.dispatchMouseEvent", {"type": "mouseReleased", **at})
            if self.js("window.hit !== false || !%s || %s.disabled === true" % (find, find)):
                return

    def offline(self, yes):
        self.call("Network.emulateNetworkConditions",
                  {"offline": yes, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})

    def screenshot(self, path, whole=True):
        r = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole, **(
            {"clip": self.whole()} if whole else {})})
        with open(path, "wb") as f:
            f.write(base64.b64decode(r["data"]))

    def whole(self):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}

    def close(self):
        self.browser.pages.pop(self.session, None)
        self.browser.call("Target.closeTarget", {"targetId": self.target})
