"""Hosts that share an engine, for bench and drill: the engine, polls of what a host knows, loads side by side."""
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from bench import ROOT, Failed

SECRET = "0123456789abcdef0123456789abcdef"


def engine(folder, build, cpus=None):
    """A running engine (tests/system/engine.py) of its own, on free port and Unix socket."""
    os.environ["QCC_BUILD"] = str(build)
    sys.path.insert(0, os.path.join(ROOT, "tests/system"))
    from engine import PROGRAM, Engine
    if not PROGRAM or not shutil.which(PROGRAM):
        raise Failed("no redis-server or valkey-server (packaging/deps.sh cluster installs one)")
    one = Engine(pathlib.Path(folder))
    if cpus:
        os.sched_setaffinity(one.pid, cpus)
    return one


def section(url, name):
    """`cluster` of a configuration."""
    return {"url": url, "secret": SECRET, "name": name}


def waited(check, what, seconds=30, step=0.002):
    """Seconds until check() gives something true."""
    began = time.monotonic()
    while not check():
        if time.monotonic() > began + seconds:
            raise Failed("waited %g s in vain for %s" % (seconds, what))
        time.sleep(step)
    return time.monotonic() - began


class Poll:
    """A kept connection to the admin listener of one host."""

    def __init__(self, port):
        self.port, self.conn = port, None

    def get(self, path):
        for again in (True, False):
            try:
                self.conn = self.conn or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                self.conn.request("GET", "/api/v1/" + path)
                return json.loads(self.conn.getresponse().read())
            except (OSError, http.client.HTTPException):
                self.close()
                if not again:
                    raise

    def endpoint(self, name):
        return next(e for e in self.get("endpoints")["endpoints"] if e["name"] == name)

    def state(self):
        return self.get("cluster")["state"]

    def up(self):
        return self.state() == "up"

    def close(self):
        if self.conn:
            self.conn.close()
            self.conn = None


class Loads:
    """Load generators that run beside each other: [(port, options)]. `got` waits for their reports."""

    def __init__(self, program, loads):
        self.running = [subprocess.Popen([str(program), "--to", "127.0.0.1:%d" % port, *options.split()], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, text=True) for port, options in loads]

    def got(self, seconds=120):
        try:
            return [json.loads(p.communicate(timeout=seconds)[0].splitlines()[-1]) for p in self.running]
        finally:
            self.stop()

    def stop(self):
        for p in self.running:
            if p.poll() is None:
                p.kill()
                p.wait()
