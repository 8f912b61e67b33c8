"""What all measurements share: a folder, certificates, the upstream, the load, everything that was started."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile

from machine import family

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = "/v1/messages?beta=true"


class Failed(Exception):
    pass


class Bench:
    """What all measurements share: a folder, certificates, the upstream, everything that was started."""

    def __init__(self, args):
        self.args = args
        self.dir = tempfile.mkdtemp(prefix="qcc-bench-")
        os.chmod(self.dir, 0o755)
        self.started = []
        cpus = sorted(os.sched_getaffinity(0))
        self.load_cpu, self.proxy_cpu = cpus[:1], cpus[-1:]
        self.upstream_cpu = cpus[1:2] if len(cpus) > 3 else self.load_cpu
        self.two_cpus = cpus[-2:]  # for two workers; on fewer than four cores they share them with the load
        self.cert, self.key, self.pem = (os.path.join(self.dir, n) for n in ("cert.pem", "key.pem", "both.pem"))

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(text)
        return path

    def binary(self, name, build=None):
        path = os.path.join(ROOT, build or self.args.build, name)
        return path if os.access(path, os.X_OK) else None

    def start(self, argv, cpus, **how):
        p = subprocess.Popen(argv, preexec_fn=lambda: os.sched_setaffinity(0, cpus), **how)
        self.started.append(p)
        return p

    def stop(self, p):
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                for pid in family(p.pid):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                p.wait(5)
        if p in self.started:
            self.started.remove(p)

    def certificates(self):
        if not shutil.which("openssl"):
            raise Failed("the openssl program is not there (packaging/deps.sh bench installs it)")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", self.key, "-out", self.cert], check=True, stderr=subprocess.DEVNULL)
        with open(self.pem, "w") as out:
            for part in (self.cert, self.key):
                with open(part) as f:
                    out.write(f.read())

    def upstream(self):
        p = self.start([self.binary("fake_upstream"), "--quiet", "--listen", "127.0.0.1:0", "--tls", self.cert, self.key,
                        "--listen", "127.0.0.1:0"], self.upstream_cpu, stdout=subprocess.PIPE, text=True)
        self.up = {how: p.stdout.readline().split()[1] for how in ("plain", "tls")}
        self.up["clients"] = self.up["named"] = self.up["plain"]

    def behave(self, spec):
        c = http.client.HTTPConnection(self.up["plain"], timeout=5)
        c.request("PUT", "/_bench", spec)
        if c.getresponse().status != 200:
            raise Failed(f"the upstream does not know {spec}")
        c.close()

    def ready(self):
        """Starts the upstream, when all programs but the proxies are there."""
        missing = [n for n in ("fake_upstream", "bench/load") if not self.binary(n)]
        if missing:
            raise Failed(f"not built: {', '.join(missing)} (make bench builds it)")
        self.certificates()
        self.upstream()

    def stop_all(self):
        for p in reversed(list(self.started)):
            self.stop(p)

    def close(self):
        self.stop_all()
        shutil.rmtree(self.dir, ignore_errors=True)


def load(b, where, options, pids=(), limit=120):
    argv = [b.binary("bench/load"), "--to", where, "--path", PATH] + options
    if pids:
        argv += ["--pids", ",".join(map(str, pids))]
    p = b.start(argv, b.load_cpu, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    out = p.communicate(timeout=limit)[0]
    b.stop(p)
    return json.loads(out.splitlines()[-1])
