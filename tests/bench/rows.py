"""The rows of the bench's table: what is asked of every proxy."""
import collections

from peers import JSON_1K

SSE_10MS = "stream,events=1000000,gap_ms=10,event_bytes=120"
SSE_FULL = "stream,events=20000,event_bytes=120"
SSE_TTFB = "stream,events=20,gap_ms=2,burst=3,event_bytes=120"
# Streams in the middle of an answer: message_start, content_block_start and a first delta come together, as they do
# in life. Where they come a second apart, QCC holds the head and the request for a while, and measures as 12 KB.
SSE_SLOW = "stream,events=1000000,gap_ms=1000,burst=3,event_bytes=120"


# how: peers.py
Row = collections.namedtuple("Row", "name title kind how spec load digits")
ROWS = [
    Row("json", "2 KB request, 1 KB JSON reply, 32 connections: CPU µs a request", "replies", "plain", JSON_1K,
        "--mode json --conns 32 --body 2048 --reply 1024", 1),
    Row("json-p99", "the same: latency p99, µs", "p99", "plain", JSON_1K,
        "--mode json --conns 32 --body 2048 --reply 1024", 0),
    Row("big", "200 KB request: CPU µs a request", "replies", "plain", JSON_1K,
        "--mode json --conns 8 --body 200000 --reply 1024", 1),
    Row("paced", "SSE, 100 streams, an event each 10 ms: CPU µs an event", "events", "plain", SSE_10MS,
        "--mode sse --conns 100 --stagger 1370", 1),
    Row("full", "SSE, 16 streams at full speed: CPU µs an event", "events", "plain", SSE_FULL,
        "--mode sse --conns 16 --events 20005", 3),
    Row("ttfb", "time to first byte added over direct, p50 µs", "ttfb", "plain", SSE_TTFB,
        "--mode sse --conns 16 --events 25 --stagger 2900", 0),
    Row("ttfb-p99", "the same, p99 µs", "ttfb-p99", "plain", SSE_TTFB,
        "--mode sse --conns 16 --events 25 --stagger 2900", 0),
    Row("json-tls", "the first, TLS on both sides: CPU µs a request", "replies", "tls", JSON_1K,
        "--mode json --conns 32 --body 2048 --reply 1024 --tls", 1),
    Row("paced-tls", "SSE, 100 streams, 10 ms, TLS on both sides: CPU µs an event", "events", "tls", SSE_10MS,
        "--mode sse --conns 100 --stagger 1370 --tls", 1),
    Row("tls-new", "a new TLS connection of a client for each request: CPU µs", "replies", "clients", JSON_1K,
        "--mode json --conns 8 --body 2048 --reply 1024 --tls --fresh", 1),
    Row("tls-resumed", "the same, the session resumed: CPU µs", "replies", "clients", JSON_1K,
        "--mode json --conns 8 --body 2048 --reply 1024 --tls --resume", 1),
    Row("json-name", "the first, an endpoint with a name (localhost): CPU µs a request", "replies", "named", JSON_1K,
        "--mode json --conns 32 --body 2048 --reply 1024", 1),
    Row("idle", "memory idle (PSS, all processes; QCC with two workers), MB", "idle", "plain", None, None, 1),
    Row("idle-name", "the same, an endpoint with a name, MB", "idle", "named", None, None, 1),
    Row("mem1000", "memory a stream, 1,000 slow streams, KB", "memory", "plain", SSE_SLOW, 1000, 1),
    Row("mem1000-name", "the same, an endpoint with a name, KB", "memory", "named", SSE_SLOW, 1000, 1),
    Row("mem5000", "memory at 5,000 streams, MB in all", "memory", "plain", SSE_SLOW, 5000, 1),
    Row("mem10000", "memory a stream, 10,000 slow streams at one worker, KB", "memory", "plain", SSE_SLOW, 10000, 1),
]
