"""Which rule of HTTP each faulty reply of test_upstream_http.py breaks, in the words that operators read."""
NO_HTTP, BYTES = "it does not begin with HTTP/1.", "control character, bare CR or bare LF in the head"
LONG = "head over upstream.max_response_header_bytes"
RULES = {
    "other protocol": NO_HTTP, "binary": NO_HTTP, "HTTP/0.9": NO_HTTP, "HTTP/2.0": NO_HTTP,
    "status of two digits": "bad status line", "status over 599": "bad status line",
    "two lengths": "more than one Content-Length", "two equal lengths": "more than one Content-Length",
    "length and coding": "Transfer-Encoding and Content-Length together", "other coding": "transfer coding other than chunked",
    "two codings": "more than one Transfer-Encoding", "negative length": "bad Content-Length", "length with sign": "bad Content-Length",
    "no colon": "header line without a colon", "blank before colon": "blank behind a header name", "folded": "folded header line",
    "bare LF": BYTES, "bare CR": BYTES, "NUL": BYTES, "too many lines": "too many header lines", "long head": LONG, "endless head": LONG,
    "101": "status 101, which nobody asked for", "endless 1xx": "too many 1xx replies", "bad chunk": "bad chunk size",
    "chunk over 64 bits": "bad chunk size", "chunk longer than said": "chunk longer than its size",
}
