"""What endpoints do in a campaign: SPECs of the fake upstream (tests/fake_upstream/main.c), by kind.

WELL are ways of being well; who does nothing else has done no wrong. TROUBLES are all others, in groups. NOT_YET
are faults of the product that an issue of its own will mend: the oracle does not judge a request that met one."""

import os

# name: SPEC
WELL = {
    "quick": "",
    "paced": "events=4,gap_ms=25",
    "late": "delay_ms=60",
    "closes": "close_idle",
    "closes soon": "close_idle_ms=80",
    "http10": "http10",
    "crlf": "crlf,events=3",
    "chunked": "framing=chunked",
    "counted": "framing=length",
    "interim": "continue_1xx=2",
    "gzip": "gzip",
    "large": "event_bytes=3000,events=20,reply_bytes=20000",
}

TRANSIENT = {
    "500": "status=500",
    "502": "status=502",
    "503": "status=503",
    "504": "status=504",
    "529": "status=529,error=overloaded_error,message=Overloaded",
    "reset": "reset",
    "close": "close",
    "hang": "hang",
    "half head": "half_head",
    "half head, hangs": "half_head,hang",
    "half head, reset": "half_head,reset",
    "error first": "sse_error_first=api_error,message=Broken",
    "overloaded first": "sse_error_first=overloaded_error",
    "empty 200": "empty_200",
    "closes after the head": "close_after_events=0,close_after_bytes=0",
    "closes after the start": "close_after_events=1,close_after_bytes=20",
    "resets after the start": "close_after_events=1,close_after_bytes=20,reset",
    "ends after the start": "end_after_events=1",
    "hangs after the head": "hang_after_events=0",
    "hangs after the start": "hang_after_events=1",
    "closes in the content": "close_after_events=4,close_after_bytes=100",
    "resets in the content": "close_after_events=4,close_after_bytes=100,reset,gap_ms=10",
    "ends in the content": "end_after_events=4",
    "hangs in the content": "hang_after_events=4",
    "late error": "sse_error_after=5,sse_error=api_error,message=Broken",
    "late overloaded": "sse_error_after=4,sse_error=overloaded_error,gap_ms=15",
}

RATE_LIMIT = {
    "429": "status=429",
    "429 for 1 s": "status=429,retry_after=1",
    "429 for 300 ms": "status=429,header=retry-after-ms:%20300",
    "429 by a slow clock": "status=429,date=-3600,reset_s=1",
    "429 by a fast clock": "status=429,date=3600,reset_s=1",
    "402": "status=402,message=Your%20credit%20balance%20is%20too%20low",
    "three in a second": "limit=3,limit_window_ms=1000",
}

AUTH = {
    "401": "status=401,message=invalid%20x-api-key",
    "403": "status=403,message=Your%20account%20has%20been%20disabled",
}

# Refusals that say beyond doubt that the request is at fault, and go back at once.
BEYOND_DOUBT = {"400 of a field": "status=400,message=messages.0.content%20is%20wrong"}

PERMANENT = {
    **BEYOND_DOUBT,
    "400": "status=400",
    "404": "status=404,message=model%3A%20m",
    "413": "status=413",
    "418": "status=418",
}

UNKNOWN = {
    "page": "html",
    "403 page": "status=403,html",
    "504 page": "status=504,html",
    "302": "status=302,header=location:%20/login,body=moved,type=text/plain",
    "garbage": "garbage",
    "two lengths": "two_lengths",
    "endless headers": "endless_headers",
}

WRONG_KIND = {
    "JSON for a stream": "json",
    "stream for JSON": "stream",
    "text": "body=hello,type=text/plain",
    "{}": "body=%7B%7D,type=application/json",
    "null": "body=null,type=application/json",
    "detail": "body=%7B%22detail%22%3A%22no%22%7D,type=application/json",
    "204": "status=204",
    "gzip 503": "gzip,status=503",
}

PINGS = {
    "pings alone": "pings_after=0,ping_ms=50",
    "pings after the start": "pings_after=1,ping_ms=50",
    "pings in the content": "pings_after=4,ping_ms=50",
}

SLOW = {
    "drips": "trickle_ms=3,trickle_bytes=40,events=2",
    "pings, then well": "pings=3,ping_ms=40",
    "each third": "flaky=3",
    "each second 503": "fail_every=2,status=503",
    "the first resets": "fail_first=2,reset",
    "unread": "read_delay_ms=150",
    "early reply": "early_reply,status=503",
    "stray bytes": "extra_bytes_after_end",
}

# Words for the listener of an endpoint (PUT /_listen of the fake upstream), as a SPEC that does nothing else.
DOWN = {"refuses connections": "name=@off", "takes no connection": "name=@deaf"}

GROUPS = [TRANSIENT, TRANSIENT, RATE_LIMIT, AUTH, PERMANENT, UNKNOWN, WRONG_KIND, PINGS, SLOW, DOWN]
TROUBLES = {name: spec for group in GROUPS for name, spec in group.items()}
# What concerns the model's family at the endpoint and not the endpoint (scope.md, section 2).
MODEL_SCOPE = {TROUBLES[name] for name in (
    "500", "502", "503", "504", "529", "hang", "error first", "overloaded first", "closes after the start", "resets after the start",
    "ends after the start", "hangs after the head", "hangs after the start", "closes in the content", "resets in the content",
    "ends in the content", "hangs in the content", "late error", "late overloaded", "429", "429 for 1 s", "429 for 300 ms",
    "429 by a slow clock", "429 by a fast clock", "three in a second", "each second 503", "JSON for a stream", "stream for JSON", "text",
    "{}", "null", "detail", "204", *PINGS)}
# What may mark an endpoint for all that is asked of it: each model, each size of a request.
MARKING = {TROUBLES["404"], TROUBLES["413"]}
NAMES = {spec: name for kinds in (WELL, TROUBLES) for name, spec in kinds.items()}

# Exceptions, each with the issue that ends it. A request that met one of these at an attempt is not judged for its form
# or its end; what it cost bystanders is.
NOT_YET = {}

# Kinds of clients and operators that the product is not yet to be judged with: name: the issue.
NOT_YET_DRAWN = {}
# (rule, operator's action in the plan, or ""): the issue.
NOT_YET_RULES = {}

# CHAOS_STRICT=1 judges these all the same: what is left to do.
if os.environ.get("CHAOS_STRICT"):
    NOT_YET_DRAWN, NOT_YET_RULES = {}, {}

NOT_YET_SPECS = set(NOT_YET.values())
WELL_SPECS = set(WELL.values()) | {SLOW["drips"], SLOW["pings, then well"], SLOW["unread"]}
