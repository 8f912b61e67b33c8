"""The drill's part on the history: a recorder that stands still, and upgrades, cost no request and no record."""
import json
import os
import signal
import statistics
import subprocess
import threading
import time

from drill_stage import Client, Failed, WORKERS, percentile, request

RATE, STILL_S, CLIENTS = 500, 40, 20


class Load:
    """RATE requests a second over CLIENTS connections, until it is stopped."""

    def __init__(self, q):
        self.q, self.over, self.times, self.wrong = q, threading.Event(), [], []
        self.threads = [threading.Thread(target=self.send, args=(i,), daemon=True) for i in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def send(self, number):
        c, due = None, time.monotonic() + number / RATE
        while not self.over.is_set():
            time.sleep(max(0, due - time.monotonic()))
            due += CLIENTS / RATE
            try:
                c = c or Client(self.q.port)
                r = c.ask(request())
                self.times.append(r.seconds * 1000)
                if r.status != 200:
                    self.wrong.append("a reply of %d" % r.status)
                if r.headers.get("connection") == "close":
                    c.close()
                    c = None
            except (OSError, ValueError, IndexError, Failed) as e:
                self.wrong.append(repr(e))
                c = None

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(10)


def state(d, q):
    done = subprocess.run([d.build / "qccctl", "--socket", q.config["control_socket"], "--json", "history"],
                          capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise Failed("qccctl history: " + done.stderr)
    return json.loads(done.stdout)


def stored(d, q, n):
    """Waits until the history has so many requests, or gets no more; what it has."""
    end, last = time.monotonic() + 15, None
    while time.monotonic() < end:
        now = state(d, q)
        if now["requests"] >= n or now["state"] == "storing" and now == last and now["behind_ms"] == 0:
            break
        last = now
        time.sleep(1)
    return now


def stands_still(d, q):
    """The recorder is stopped for STILL_S: requests go on as before, and none is missing afterwards."""
    calm = Load(q)
    time.sleep(5)
    calm.stop()
    recorder = state(d, q)["pid"]
    os.kill(recorder, signal.SIGSTOP)
    try:
        still = Load(q)
        time.sleep(STILL_S)
        still.stop()
    finally:
        os.kill(recorder, signal.SIGCONT)
    sent = len(calm.times) + len(still.times)
    end = stored(d, q, sent)
    p50, p99 = [statistics.median(x.times) for x in (calm, still)], [percentile(x.times, 99) for x in (calm, still)]
    what = "the recorder stopped for %d s, %d requests a second over %d workers" % (STILL_S, RATE, WORKERS)
    wrong = calm.wrong + still.wrong
    d.row("%s: failed requests" % what, "%d%s" % (len(wrong), ": " + wrong[0] if wrong else ""), "0", not wrong)
    d.row("the same: time of a request, p50 and p99, before and meanwhile", "%.1f → %.1f ms, %.1f → %.1f ms" % (
        p50[0], p50[1], p99[0], p99[1]), "no slower (p50 within 10%, p99 within 5 ms)",
        p50[1] <= p50[0] * 1.1 + 0.1 and p99[1] <= p99[0] + 5)
    d.row("the same: requests that are missing in the history, and those counted as dropped", "%d, %d" % (
        sent - end["requests"], end["dropped"]), "0, 0", sent == end["requests"] and end["dropped"] == 0)
    return sent


def upgrades(d, q, sent):
    ctl = [d.build / "qccctl", "--socket", q.config["control_socket"]]
    load = Load(q)
    for _ in range(3):
        time.sleep(1)
        r = subprocess.run(ctl + ["upgrade"], capture_output=True, text=True, timeout=30)
        if r.returncode:
            raise Failed("upgrade: " + r.stderr)
        q.successor = json.loads(subprocess.run(ctl + ["--json", "status"], capture_output=True, text=True, timeout=30).stdout)["pid"]
    time.sleep(1)
    load.stop()
    sent += len(load.times)
    end = stored(d, q, sent)
    d.row("3 upgrades at %d requests a second: failed requests" % RATE, "%d%s" % (
        len(load.wrong), ": " + load.wrong[0] if load.wrong else ""), "0", not load.wrong)
    d.row("the same: requests that are missing in the history", "%d" % (sent - end["requests"]), "0", sent == end["requests"])


def history(d):
    up = d.upstream()
    q = d.proxy([up.endpoint("/s/name=a", "a")], log={"access": False}, state_dir=str(d.state_dir()),
                history={"min_free": 0})
    upgrades(d, q, stands_still(d, q))
