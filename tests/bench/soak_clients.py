"""The clients of a soak: requests and streams that are read to the end and checked, and clients that go away in the middle."""
import collections
import itertools
import json
import random
import select
import socket
import struct
import threading
import time

from drill_stage import Client, Failed, request

DELTAS, PACE_MS = 12, 15
CONVERSATIONS = 200
KINDS = ["json"] * 5 + ["stream"] * 6 + ["new"] + ["leave"] * 2

number = itertools.count(1)


class Clients:
    """Threads, each of which is one client until `stop`. served: counts by kind; told: streams that ended with an error
    event; failures: [(when, the client's port, what)]."""

    def __init__(self, q, seed):
        self.q, self.over, self.lock = q, threading.Event(), threading.Lock()
        self.served, self.told, self.failures = collections.Counter(), 0, []
        self.threads = [threading.Thread(target=self.run, args=(kind, random.Random(seed * 1000 + i)), daemon=True)
                        for i, kind in enumerate(KINDS)]
        for t in self.threads:
            t.start()

    def stop(self):
        """What is open is read to its end."""
        self.over.set()
        for t in self.threads:
            t.join(60)
        stuck = sum(t.is_alive() for t in self.threads)
        if stuck:
            raise Failed("%d clients wait for ever" % stuck)

    def run(self, kind, rnd):
        c = None
        while not self.over.is_set():
            port = None
            try:
                if c and select.select([c.sock], [], [], 0)[0]:  # closed between two requests, which every client looks for
                    c.close()
                    c = None
                c = c or Client(self.q.port)
                port = c.sock.getsockname()[1]
                keep = getattr(self, kind)(c, rnd, "soak %d" % next(number))
                with self.lock:
                    self.served[kind] += 1
                if not keep:
                    c.close()
                    c = None
            except (OSError, ValueError, LookupError, Failed) as e:
                with self.lock:
                    self.failures.append((time.monotonic(), port, "%s: %.300r" % (kind, e)))
                if c:
                    c.close()
                c = None
            time.sleep(rnd.uniform(0, 0.02))
        if c:
            c.close()

    @staticmethod
    def ask(rnd, text, stream, close=False):
        return request(stream=stream, conversation="soak-%d" % rnd.randrange(CONVERSATIONS), text=text, close=close)

    def json(self, c, rnd, text, close=False):
        r = c.ask(self.ask(rnd, text, False, close))
        if r.status != 200 or text not in json.loads(r.body)["content"][0]["text"]:
            raise Failed("%d %.200r" % (r.status, r.body))
        return r.headers.get("connection") != "close"

    def new(self, c, rnd, text):
        self.json(c, rnd, text, close=True)
        return False

    def stream(self, c, rnd, text):
        c.send(self.ask(rnd, text, True))
        r = c.receive()
        if r.status != 200:
            raise Failed("%d %.200r" % (r.status, r.body))
        if b"event: message_stop" not in r.body and b"event: error" in r.body:
            with self.lock:
                self.told += 1
        elif (b"event: message_stop" not in r.body or r.body.count(b"event: content_block_delta") < DELTAS
              or text.encode() not in r.body):
            raise Failed("a stream that is not whole: %.200r" % r.body[-200:])
        return r.headers.get("connection") != "close"

    def leave(self, c, rnd, text):
        """In the middle of its request, before the reply, or within the stream; by FIN or RST."""
        data = self.ask(rnd, text, True)
        when = rnd.randrange(3)
        c.send(data if when else data[:-100])
        if when == 2:
            c.file.read1(200)
        else:
            time.sleep(rnd.uniform(0, 0.05))
        if rnd.random() < 0.5:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
