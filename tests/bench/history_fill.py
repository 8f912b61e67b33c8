#!/usr/bin/python3
"""Fills a history.db with requests of some weeks, and the sums that belong to them.

    history_fill.py FILE [--requests N] [--days D] [--until SECONDS] [--seed N]

The file must exist: qcc-recorder has made it, and does not run now. Rows look like those of a company: clients keep
to an endpoint and a model for a while, some requests fail, are tried again, are cut off by the client. The sums are
made of the rows, in SQL, so that they agree."""
import argparse
import random
import sqlite3
import struct
import time

ENDPOINTS = ["official", "relay-a", "relay-b", "gateway"]
MODELS = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "house-model-1"]
CLIENTS = ["client-%02d" % i for i in range(30)]
KINDS = {"endpoint": 0, "model": 1, "client": 2, "path": 3, "end": 4}
BOUNDS = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000,
          10000, 15000, 20000, 30000, 50000, 70000, 100000, 150000, 200000, 300000, 600000]  # common/policy/hist.c

USAGE = """INSERT INTO usage_%d SELECT (k>>12)/%d AS q, endpoint, served, ifnull(client, 0) AS c, rate, count(*),
    sum(end=:ok), sum(end=:failed), sum(end=:gone), sum(attempts>1), sum((flags&2)!=0), sum(ifnull(input, 0)),
    sum(ifnull(output, 0)), sum(ifnull(cache_read, 0)), sum(ifnull(write_5m, 0)), sum(ifnull(write_1h, 0)),
    sum(ifnull(web, 0)), sum(status=200 AND (end=:gone OR input IS NULL)), sum(bytes_in), sum(bytes_out),
    sum(CASE WHEN status=200 THEN ttfb_ms ELSE 0 END), sum(status=200), sum(total_ms),
    sum(CASE WHEN end=:ok AND flags&1 AND output>0 THEN total_ms-ttfb_ms ELSE 0 END),
    sum(CASE WHEN end=:ok AND flags&1 AND output>0 THEN output ELSE 0 END)
    FROM request GROUP BY q, endpoint, served, c, rate"""


class Histogram:
    """SQL: histogram(ms), as the recorder stores it."""

    def __init__(self):
        self.count = [0] * (len(BOUNDS) + 1)

    def step(self, ms):
        at = 0
        while at < len(BOUNDS) and ms > BOUNDS[at]:
            at += 1
        self.count[at] += 1

    def finalize(self):
        return struct.pack("=%dI" % len(self.count), *self.count)


def name(db, kind, text):
    db.execute("INSERT OR IGNORE INTO name(kind, text) VALUES(?, ?)", (KINDS[kind], text))
    return db.execute("SELECT id FROM name WHERE kind=? AND text=?", (KINDS[kind], text)).fetchone()[0]


def rows(rnd, n, first_ms, span_ms, ids):
    """Rows in the order of time."""
    endpoints, models, clients, path, ok, failed, gone = ids
    habit, k = {}, 0
    for i in range(n):
        ms = first_ms + span_ms * i // n
        client = rnd.choice(clients)
        if client not in habit or rnd.random() < 0.02:
            habit[client] = rnd.choice(endpoints), rnd.choice(models)
        endpoint, model = habit[client]
        luck, attempts, flags = rnd.random(), 1, 1
        end = ok if luck < 0.97 else failed if luck < 0.985 else gone
        if rnd.random() < 0.02:
            attempts, flags = 2, 3
        fresh, read, write = rnd.randrange(2, 900), rnd.randrange(0, 90000), rnd.randrange(0, 4000)
        rate = 1 if fresh + read + write > 100000 else 0
        ttfb = int(rnd.lognormvariate(6.8, 0.7))
        k = max(ms << 12, k + 1)
        head = (k, rnd.randbytes(10), endpoint, model, model, model, client, path, end)
        if end == failed:
            yield head + (502, attempts, flags, rate, None, ttfb, 9000, 300, None, None, None, None, None, None)
            continue
        out = None if end == gone and rnd.random() < 0.5 else rnd.randrange(1, 2000)
        yield head + (200, attempts, flags, rate, ttfb, ttfb + (out or 50) * 15 + 1, read * 4 + 9000,
                      (out or 0) * 8 + 500, fresh, out, read, write, rnd.randrange(0, 300) * (i % 3 == 0),
                      1 if i % 50 == 0 else None)


def attempts(db, ids):
    """Each row's last attempt, at its endpoint, and those before, at another one."""
    endpoints, _, _, _, ok, failed, _ = ids
    db.execute("""INSERT INTO tries_60 SELECT (k>>12)/3600000 AS q, endpoint, CASE end WHEN ? THEN 'transient' ELSE 'ok'
               END AS class, count(*), sum(end=?) FROM request GROUP BY q, endpoint, class""", (failed, failed))
    db.execute("""INSERT INTO tries_60 SELECT (k>>12)/3600000 AS q, CASE endpoint WHEN :a THEN :b ELSE :a END AS e,
               'rate_limit', count(*), count(*) FROM request WHERE attempts>1 GROUP BY q, e""",
               {"a": endpoints[0], "b": endpoints[1]})


def fill(path, n=1000000, days=30, until_s=None, seed=1):
    until_ms = int((until_s or time.time()) * 1000)
    rnd = random.Random(seed)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    db.create_aggregate("histogram", 1, Histogram)
    db.execute("BEGIN IMMEDIATE")
    ids = ([name(db, "endpoint", e) for e in ENDPOINTS], [name(db, "model", m) for m in MODELS],
           [name(db, "client", c) for c in CLIENTS], name(db, "path", "/v1/messages"),
           *(name(db, "end", e) for e in ("ok", "upstream failed", "client gone")))
    ends = {"ok": ids[4], "failed": ids[5], "gone": ids[6]}
    db.executemany("INSERT INTO request VALUES(%s, NULL)" % ",".join("?" * 23),
                   rows(rnd, n, until_ms - int(days * 86400000), int(days * 86400000), ids))
    for minutes, ms in ((15, 900000), (60, 3600000)):
        db.execute(USAGE % (minutes, ms), ends)
    db.execute("INSERT INTO speed_60 SELECT (k>>12)/3600000 AS q, endpoint, served, histogram(ttfb_ms) FROM request"
               " WHERE status=200 GROUP BY q, endpoint, served")
    attempts(db, ids)
    db.execute("COMMIT")
    db.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("file")
    p.add_argument("--requests", type=int, default=1000000)
    p.add_argument("--days", type=float, default=30)
    p.add_argument("--until", type=float, help="Unix seconds of the last request (default: now)")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    with open(a.file, "rb"):  # never makes one
        fill(a.file, a.requests, a.days, a.until, a.seed)


if __name__ == "__main__":
    main()
