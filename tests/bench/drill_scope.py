"""The drill's part on scopes: one endpoint limits one model and refuses one feature, and it costs nobody else a thing."""
import json
import threading
import time
import uuid

from drill_stage import Client, Failed, admin_endpoints, changes, in_threads, request

CONVERSATIONS, RATE, CLIENTS, SECONDS = 200, 300, 20, 8
LIMITED, OTHERS = "claude-opus-4-8", ("claude-sonnet-4-6", "claude-haiku-4-5")
FEATURE = "new-thing-2026-11-01"


class Picky:
    """The endpoint: serves all until `now`, then limits a model and refuses a value of anthropic-beta."""

    def __init__(self):
        self.now, self.said = False, {429: 0, 400: 0}

    def play(self, peer, r):
        from upstream import error, reply
        if self.now and r.json()["model"] == LIMITED:
            self.said[429] += 1
            peer.send(error(429, "rate_limit_error", "rate limit of %s reached" % LIMITED, headers=["retry-after: 60"]))
        elif self.now and FEATURE in (r.header("anthropic-beta") or ""):
            self.said[400] += 1
            peer.send(error(400, "invalid_request_error", "Unexpected value(s) `%s` for the `anthropic-beta` header" % FEATURE))
        else:
            peer.send(reply())


class Talk:
    """A conversation: what it asks for, and where it was served."""

    def __init__(self, i):
        self.name, self.model = str(uuid.uuid4()), LIMITED if i % 5 == 0 else OTHERS[i % 2]
        self.feature = i % 10 == 1
        self.at, self.moves, self.wrong = None, 0, 0
        self.concerned = self.feature or self.model == LIMITED

    def ask(self, c, turn):
        """One turn more on the connection; whether it must be opened anew."""
        data = request(model=self.model, conversation=self.name)
        head, end, body = data.partition(b"\r\n\r\n")
        doc = json.loads(body)
        doc["messages"].append({"role": "assistant", "content": "turn %d" % turn})
        body = json.dumps(doc).encode()
        head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"content-length")) + b"\r\ncontent-length: %d" % len(body)
        head += b"\r\nanthropic-beta: " + FEATURE.encode() if self.feature else b""
        r = c.ask(head + end + body)
        where = r.headers.get("x-qcc-endpoint")
        self.wrong += r.status != 200
        self.moves += self.at is not None and where != self.at
        self.at = where
        return r.headers.get("connection") == "close"


def play(q, talks, seconds):
    """Their turns in rotation, RATE a second over CLIENTS connections; returns how many."""
    sent, lock, until = [0], threading.Lock(), time.monotonic() + seconds

    def go(number):
        c, due, turn = Client(q.port), time.monotonic() + number / RATE, 0
        mine = talks[number::CLIENTS]
        while time.monotonic() < until:
            time.sleep(max(0, due - time.monotonic()))
            due += CLIENTS / RATE
            if mine[turn % len(mine)].ask(c, turn):
                c.close()
                c = Client(q.port)
            turn += 1
        c.close()
        with lock:
            sent[0] += turn
    in_threads([lambda n=n: go(n) for n in range(CLIENTS)])
    return sent[0]


def bindings(q):
    return json.loads(q.get("/api/v1/sessions", port=q.admin_port)[1])["bindings"]


def scope(d):
    from upstream import Raw
    picky, up = Picky(), d.upstream()
    raw = Raw(picky.play)
    d.started.append(raw)
    q = d.proxy([raw.endpoint("picky")] + [up.endpoint("/s/name=%d" % i, "s%d" % i) for i in range(3)])
    talks = [Talk(i) for i in range(CONVERSATIONS)]
    play(q, talks, 2)
    if any(t.wrong or t.moves for t in talks):
        raise Failed("scope: conversations moved while all was well")
    was, n_changes = bindings(q), len(changes(q))
    picky.now = True
    sent = play(q, talks, SECONDS)
    if not all(picky.said.values()):
        raise Failed("scope: nothing was limited, or nothing refused")
    others = [t for t in talks if not t.concerned]
    moved, wrong = sum(t.moves for t in others), sum(t.wrong for t in talks)
    lost = max(0, was - bindings(q))
    verified = q.count("verification")
    got = admin_endpoints(q)
    out = sum(e["tier"] != "healthy" or e["queued"] is not None or e["breaker"]["state"] != "closed" for e in got.values())
    told = [what for _, _, what in changes(q)[n_changes:] if what.startswith(("health", "breaker", "queue", "cooldown", "disabled"))]
    d.row("one model limited and one feature refused by one of 4 endpoints, %d requests (%d a second) of %d conversations: failed requests"
          % (sent, RATE, CONVERSATIONS), str(wrong), "0", wrong == 0)
    d.row("the same: requests of others moved, bindings lost, verifications", "%d, %d, %d" % (moved, lost, verified), "0, 0, 0",
          not moved and not lost and not verified)
    d.row("the same: endpoints out, changes of an endpoint's own state", "%d, %d" % (out, len(told)), "0, 0", not out and not told)
    moves = sum(t.moves > 1 for t in talks if t.concerned)
    d.row("the same: conversations concerned that moved more than once", str(moves), "0", moves == 0)
