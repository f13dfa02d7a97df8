"""Debian's Chromium without a window, driven by its own protocol over two pipes.

    Chromium().page() -> Page: open, evaluate, wait_for, press, screenshot; requests and complaints it kept

Source: Chrome DevTools Protocol, --remote-debugging-pipe: JSON messages that end with a zero byte.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE_SECONDS = 60
ARGUMENTS = [
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-extensions", "--disable-dev-shm-usage", "--font-render-hinting=none", "--force-color-profile=srgb",
    "--no-proxy-server",
]
KEYS = {
    "Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Space": ("Space", 32, " "), "Escape": ("Escape", 27, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""), "ArrowRight": ("ArrowRight", 39, ""),
}


def find():
    return shutil.which("chromium")


class Chromium:
    def __init__(self, log=None):
        self.folder = tempfile.mkdtemp(prefix="standpipe-chromium-")
        command = [find(), *ARGUMENTS, f"--user-data-dir={self.folder}", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium's own sandbox does not start for root
        to_child, self.output = os.pipe()
        self.input, from_child = os.pipe()
        self.log = open(log or os.devnull, "wb")

        def prepare():  # the protocol speaks on descriptors 3 and 4
            high_read, high_write = os.dup(to_child), os.dup(from_child)
            os.dup2(high_read, 3)
            os.dup2(high_write, 4)

        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        self.process = subprocess.Popen(
            command, preexec_fn=prepare, close_fds=False, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**environment, "HOME": self.folder})
        os.close(to_child)
        os.close(from_child)
        self.rest, self.next_id, self.answers, self.pages = b"", 1, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for descriptor in (self.input, self.output):
            os.close(descriptor)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pump(self, seconds):
        """Reads what the browser says, for at most so long."""
        ready, _, _ = select.select([self.input], [], [], seconds)
        if not ready:
            return
        received = os.read(self.input, 1 << 20)
        assert received, f"chromium has ended ({self.process.poll()})"
        *messages, self.rest = (self.rest + received).split(b"\0")
        for message in messages:
            self.take(json.loads(message))

    def take(self, message):
        if "id" in message:
            self.answers[message["id"]] = message
        elif message.get("sessionId") in self.pages:
            self.pages[message["sessionId"]].note(message["method"], message["params"])

    def ask(self, method, session=None, **parameters):
        number, self.next_id = self.next_id, self.next_id + 1
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        end = time.monotonic() + PATIENCE_SECONDS
        while number not in self.answers:
            assert time.monotonic() < end, f"chromium does not answer {method}"
            self.pump(1)
        answer = self.answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def page(self, width=1440, height=900, dark=False, reduced_motion=False, mobile=False):
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        page.resize(width, height, mobile)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        if reduced_motion:
            features.append({"name": "prefers-reduced-motion", "value": "reduce"})
        page.ask("Emulation.setEmulatedMedia", features=features)
        return page


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.requests, self.complaints = [], []

    def note(self, method, parameters):
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"].get("exception", parameters)))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    def ask(self, method, **parameters):
        return self.browser.ask(method, self.session, **parameters)

    def resize(self, width, height, mobile=False):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile)

    def open(self, address):
        self.ask("Page.navigate", url=address)

    def evaluate(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait_for(self, expression, what=None, seconds=PATIENCE_SECONDS):
        """Until the expression of the page is true; gives its value."""
        end = time.monotonic() + seconds
        while True:
            value = self.evaluate(expression)
            if value:
                return value
            assert time.monotonic() < end, f"after {seconds} s still not: {what or expression}"
            self.browser.pump(0.05)

    def press(self, key):
        name, code, text = KEYS[key]
        shared = {"key": " " if key == "Space" else name, "code": name, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **shared)

    def type(self, text):
        self.ask("Input.insertText", text=text)

    def screenshot(self, path, whole=True):
        picture = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))
