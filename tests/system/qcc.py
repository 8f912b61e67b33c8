"""A private QCC for one test: own configuration, own ports, own log.

    def test_something(qcc):
        q = qcc({"workers": 2})            # started and serving
        q.reload({"workers": 3})           # another configuration, waits until it is in use
        assert q.stop() == 0

The programs come from the folder QCC_BUILD (default build/san). Nothing here sleeps for a fixed time:
`until` polls with a deadline.
"""
import contextlib
import copy
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("QCC_BUILD", ROOT / "build/san")).resolve()
SUPERVISOR = BUILD / "qcc-supervisor"
WORKER = BUILD / "qcc-worker"
QCCCTL = BUILD / "qccctl"
STUB = pathlib.Path(__file__).resolve().parent / "stub_worker.py"

# A sanitized program on a busy machine is slow; a good one never waits this long.
PATIENCE = 30


def until(check, what="the condition", timeout=PATIENCE, step=0.02):
    """Calls check() until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError("waited %g s in vain for %s" % (timeout, what))
        time.sleep(step)


def _ports():
    """Below those that the kernel gives to outgoing connections; runs beside each other begin at
    different places."""
    first, last = 10000, 32000
    at = random.SystemRandom().randrange(first, last)
    while True:
        yield at
        at = at + 1 if at + 1 < last else first


_port = _ports()


def _other_ports():
    """A forked process begins at another place, too."""
    global _port
    _port = _ports()


os.register_at_fork(after_in_child=_other_ports)


def free_port():
    """A port that nobody listens on now; never the same twice in a run."""
    for port in _port:
        with socket.socket() as s:
            try:
                s.bind(("0.0.0.0", port))
                return port
            except OSError:
                pass


def alive(pid):
    """Whether the process is there and no zombie."""
    try:
        return pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def merged(base, change):
    """Mappings are merged, everything else is replaced; None removes a key."""
    out = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def recorder(pid):
    """Whether it is the process that keeps the history."""
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc/%d/comm" % pid).read_text() == "qcc-recorder\n"
    return False


class Qcc:
    def __init__(self, folder, config=None, worker=None, env=None, options=()):
        """config: what differs from the configuration below (a mapping), or the whole file's text.
        worker: the program that the supervisor shall start instead of qcc-worker."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.admin_port = free_port()
        self.path = self.folder / "qcc.yaml"
        self.stderr_path = self.folder / "qcc.log"
        self.log_path = self.stderr_path  # a test that sets log.file says here where it is
        self.command = [str(SUPERVISOR), "-c", str(self.path), *options]
        self.process = None
        self.successor = None  # process id of the supervisor that an upgrade has put in its place
        self.env = dict(os.environ)
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "JOURNAL_STREAM"):
            self.env.pop(name, None)
        self.env["STUB_DIR"] = str(self.folder)
        self.env["RUNTIME_DIRECTORY"] = str(self.folder / "run")  # where its control socket is
        if worker:
            self.env["QCC_WORKER"] = str(worker)
        self.env.update(env or {})
        self.config = {
            "listen": "127.0.0.1:%d" % self.port,
            "workers": 2,
            "admin": {"listen": "127.0.0.1:%d" % self.admin_port},
            "endpoints": [
                {"name": "nobody", "base_url": "http://127.0.0.1:9", "api_key": "sk-test-0123456789"}
            ],
            "log": {"level": "debug"},
            "upstream": {"list_models": False},  # what endpoints are asked is what tests ask
        }
        self.configure(config)

    # ---- configuration

    def configure(self, config):
        """Writes the file anew: changes to what is there (a mapping), or a whole text."""
        if isinstance(config, str):
            text = config
        else:
            self.config = merged(self.config, config or {})
            text = json.dumps(self.config, indent=1)  # JSON is YAML
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o600)
        new.rename(self.path)

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    @property
    def admin_url(self):
        return "http://127.0.0.1:%d" % self.admin_port

    # ---- life

    def start(self, wait=True, **popen):
        with open(self.stderr_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd=self.folder,
                start_new_session=True,
                **popen
            )
        if wait:
            self.wait_serving()
        return self

    @property
    def pid(self):
        return self.successor or self.process.pid

    def running(self):
        if self.successor:
            return alive(self.successor)
        return self.process is not None and self.process.poll() is None

    def wait_serving(self, count=1):
        """Until the supervisor has said so (`count` times: after a second start in the same log)."""

        def look():
            if not self.running():
                raise AssertionError("the supervisor ended with %s:\n%s" % (self.process.returncode, self.log()))
            return self.count("(serving|listener) on .* workers") and self.count("serving on ") >= count

        until(look, "the supervisor to serve")

    def signal(self, number):
        os.kill(self.pid, number)

    def reload(self, config=None, wait=True):
        """SIGHUP, after writing the new configuration if one is given. Waits until it is in use;
        wait=False does not, wait="refused" waits until it was refused."""
        done, refused = self.count("reload done, generation"), self.count("reload refused")
        if config is not None:
            self.configure(config)
        self.signal(signal.SIGHUP)
        if wait == "refused":
            until(lambda: self.count("reload refused") > refused, "the reload to be refused")
        elif wait:
            until(lambda: self.count("reload done, generation") > done, "the reload")

    def upgrade(self):
        """SIGUSR2; waits until another supervisor serves, which is `pid` from then on. Returns the
        process id of the one before."""
        before, done = self.pid, self.count("upgrade: pid \\d+ serves")
        self.signal(signal.SIGUSR2)
        until(lambda: self.count("upgrade: pid \\d+ serves") > done, "the upgrade")
        self.successor = int(re.findall("upgrade: pid (\\d+) serves", self.log())[-1])
        return before

    def wait(self, timeout=PATIENCE):
        """Until the supervisor has ended by itself; returns its exit code (0 for one that was put in
        its place, which is no child of ours)."""
        if self.successor:
            until(lambda: not alive(self.successor), "the supervisor to end", timeout)
            return 0
        return self.process.wait(timeout)

    def stop(self, timeout=PATIENCE):
        """SIGTERM; returns the exit code."""
        if self.running():
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def close(self):
        """The end of the test: nothing of it may be left."""
        if self.process is None:
            return
        deadline = time.monotonic() + PATIENCE
        while self.running() and time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGTERM)  # the second one stops it at once
            if self.successor:
                time.sleep(0.1)
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        # The session holds workers that outlived a killed supervisor.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def children(self):
        """Process ids of all workers, oldest first."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = pathlib.Path("/proc/%d/task/%d/children" % (self.pid, self.pid)).read_text()
            return [pid for pid in map(int, text.split()) if alive(pid) and not recorder(pid)]
        return []

    def wait_workers(self, n):
        """Until exactly n workers live; returns their process ids."""
        return until(lambda: len(self.children()) == n and self.children(), "%d workers" % n)

    # ---- log

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def count(self, pattern):
        return len(re.findall(pattern, self.log()))

    def wait_log(self, pattern, count=1, timeout=PATIENCE):
        """Until the pattern (a regular expression) is there so often; returns the first match."""
        until(lambda: self.count(pattern) >= count, "%r in the log" % pattern, timeout)
        return re.search(pattern, self.log())

    def assert_sane(self):
        """No sanitizer has complained in any of the processes."""
        found = re.search("ERROR: \\w+Sanitizer.*|runtime error: .*", self.log())
        assert not found, found.group(0)

    # ---- its operator

    def ctl(self, *args, timeout=PATIENCE, **more):
        """qccctl with these arguments, at this instance's control socket; its CompletedProcess."""
        return subprocess.run([str(QCCCTL), *args], env=self.env, cwd=self.folder, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def ctl_json(self, *args):
        """What it answers with --json; it must have been done."""
        done = self.ctl(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    # ---- one request

    def get(self, path="/", port=None, timeout=PATIENCE, headers=None):
        """(status, body) of a GET on a connection of its own."""
        c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            c.request("GET", path, headers=headers or {})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()


class Upstream:
    """A fake_upstream of its own (see tests/fake_upstream/main.c for what a base path means)."""

    def __init__(self, folder, *options):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / "upstream.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(BUILD / "fake_upstream"), "--listen", "127.0.0.1:0", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        found = until(lambda: re.search("listening .*:(\\d+)", self.log()), "the upstream to listen")
        self.port = int(found.group(1))
        self.url = "http://127.0.0.1:%d" % self.port

    def log(self):
        return self.log_path.read_text(errors="replace")

    def endpoint(self, path="/good", name=None, **more):
        """One element of `endpoints` for a base path of this upstream."""
        name = name or re.sub("[^A-Za-z0-9._-]+", "-", path.strip("/"))[:64]
        return {"name": name, "base_url": self.url + path, "api_key": "sk-fake-0123456789", **more}

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            c.request(method, path, body)
            r = c.getresponse()
            return r.read()
        finally:
            c.close()

    def stats(self):
        return json.loads(self.call("GET", "/_stats"))

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


def connectable(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return True
    except OSError:
        return False
