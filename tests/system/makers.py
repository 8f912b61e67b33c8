"""Endpoints that speak Chat Completions in the dialects of their makers, scripted (`maker`).

    up = raw(maker("kimi", text="hi", calls=[("functions.Read:0", "Read", {"path": "x"})]))
    q = qcc({"endpoints": [openai(up)]})

What a maker sends is what its API is known to send, as a stream or whole, whichever the request asks for.
"""
import json

from upstream import LAST_CHUNK, STREAM_HEAD, chunk, reply

MAKERS = ("openai", "azure", "deepseek", "qwen", "glm", "kimi", "openrouter", "vllm", "ollama", "llama.cpp", "gemini",
          "mistral", "groq")
ID = {"openai": "call_abc", "azure": "call_abc", "deepseek": "call_00_x", "qwen": "call_9f", "glm": "call_-8123",
      "kimi": "functions.%s:%d", "openrouter": "toolu_vrtx_01", "vllm": "chatcmpl-tool-0123456789abcdef0123456789abcdef",
      "ollama": "call_o", "llama.cpp": "Yh4q", "gemini": "", "mistral": "D681PevKs", "groq": "fc_1"}
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def tool_id(who, name, n):
    made = ID[who]
    return made % (name, n) if "%" in made else made + (str(n) if n and made else "")


def usage(who):
    """100 tokens came in, 60 of them from the cache where the maker tells; 20 went out."""
    if who == "deepseek":
        return {**USAGE, "prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40}
    if who == "kimi":
        return {**USAGE, "cached_tokens": 60}
    if who in ("openai", "azure", "glm", "openrouter", "qwen"):
        return {**USAGE, "prompt_tokens_details": {"cached_tokens": 60}}
    return USAGE


def data(obj):
    return b"data: %s\n\n" % json.dumps(obj).encode()


def piece(who, delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    if who in ("openrouter",):
        choice["native_finish_reason"] = finish
    out = {"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice], **more}
    if who != "glm":
        out["object"] = "chat.completion.chunk"
    return data(out)


def pieces(text, n=3):
    size = max(1, (len(text) + n - 1) // n)
    return [text[i:i + size] for i in range(0, len(text), size)]


def thought(who, text):
    if who in ("deepseek", "qwen", "glm", "kimi"):
        return {"reasoning_content": text}
    if who == "openrouter":
        return {"reasoning": text, "reasoning_details": [{"type": "reasoning.text", "text": text}]}
    if who == "mistral":
        return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
    return {"reasoning": text}


def call_pieces(who, n, name, args):
    """The deltas of one tool call."""
    made, text = tool_id(who, name, n), json.dumps(args)
    if who in ("glm", "ollama", "gemini", "mistral"):  # whole calls in one chunk
        one = {"id": made, "type": "function", "function": {"name": name, "arguments": text}}
        if who == "gemini":
            one["extra_content"] = {"google": {"thought_signature": "sig"}}
        else:
            one["index"] = 0 if who == "ollama" else n
        return [{"tool_calls": [one]}]
    out = [{"tool_calls": [{"index": n, "id": made, "type": "function", "function": {"name": name, "arguments": ""}}]}]
    for part in pieces(text):
        more = {"index": n, "function": {"arguments": part}}
        if who == "qwen":
            more.update(id="", function={"name": None, "arguments": part})
        out.append({"tool_calls": [more]})
    return out


def chunks(who, text="", thinking="", calls=(), finish=None):
    """The chunks of a stream, without [DONE]."""
    out = []
    end = finish or ("tool_calls" if calls and who not in ("ollama", "gemini") else "stop")
    if who == "openrouter":
        out.append(b": OPENROUTER PROCESSING\n\n")
    if who == "azure":
        out.append(data({"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}))
        out.append(data({"id": "x", "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]}))
    if who not in ("gemini", "ollama", "mistral"):
        out.append(piece(who, {"role": "assistant", "content": None if calls or who == "llama.cpp" else ""}))
    for part in pieces(thinking):
        out.append(piece(who, thought(who, part)))
    if who in ("qwen", "glm") and calls and not text:
        out.append(piece(who, {"content": "\n\n"}))
    for part in pieces(text):
        content = [{"type": "text", "text": part}] if who == "mistral" and thinking else part
        out.append(piece(who, {"content": content, **({"role": "assistant"} if who == "glm" else {})}))
    for n, (name, args) in enumerate(calls):
        out += [piece(who, delta) for delta in call_pieces(who, n, name, args)]
    told = usage(who)
    if who == "kimi":
        out.append(data({"id": "1", "object": "chat.completion.chunk",
                         "choices": [{"index": 0, "delta": {}, "finish_reason": end, "usage": told}]}))
    elif who in ("deepseek", "mistral", "glm", "gemini"):
        out.append(piece(who, {"content": ""} if who == "deepseek" else {}, end, usage=told))
    elif who == "groq":
        out.append(piece(who, {}, end, x_groq={"id": "r", "usage": told}))
    elif who == "llama.cpp":
        out.append(piece(who, {}, end, usage=told, timings={"prompt_n": 1}))
    else:
        out.append(piece(who, {}, end))
        last = [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
        out.append(data({"id": "1", "choices": last if who == "openrouter" else [], "usage": told}))
    return out


def whole(who, text="", thinking="", calls=(), finish=None):
    """The body of a whole answer."""
    message = {"role": "assistant", "content": text or None}
    if thinking:
        message.update(thought(who, thinking))
        if who == "mistral":
            message["content"] = message["content"] + ([{"type": "text", "text": text}] if text else [])
    if calls:
        message["tool_calls"] = [
            {"id": tool_id(who, name, n), "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
            for n, (name, args) in enumerate(calls)]
    end = finish or ("tool_calls" if calls and who not in ("ollama", "gemini") else "stop")
    choice = {"index": 0, "message": message, "finish_reason": end}
    if who == "kimi":
        choice["usage"] = usage(who)
        return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage(who)}).encode()
    return json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice],
                       "usage": usage(who)}).encode()


def played(parts, done=True):
    """A stream of these parts, each a chunk of the transfer."""
    parts = [*parts, b"data: [DONE]\n\n"] if done else parts
    return STREAM_HEAD + b"".join(map(chunk, parts)) + LAST_CHUNK


def maker(who, **said):
    """An endpoint that always says the same, as a stream or whole."""

    def play(peer, request):
        if request.method == "POST" and request.json().get("stream"):
            peer.send(played(chunks(who, **said)))
        else:
            peer.send(reply(whole(who, **said)))

    return play


def told(who, message, code=None, kind="invalid_request_error", status=400, param=None, headers=()):
    """An error reply in the maker's form."""
    if who == "mistral":
        body = {"object": "error", "message": message, "type": kind, "param": param, "code": code}
    elif who == "gemini":
        body = [{"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}]
    elif who == "qwen":
        body = {"code": code or "InvalidParameter", "message": message, "request_id": "r"}
    elif who == "glm":
        body = {"error": {"code": code or "1210", "message": message}}
    elif who == "vllm":
        body = {"object": "error", "message": message, "type": "BadRequestError", "param": param, "code": status}
    elif who == "ollama":
        body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    else:
        body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return reply(json.dumps(body).encode(), status, headers)


def openai(up, name="maker", **more):
    """One element of `endpoints` for a scripted endpoint."""
    return up.endpoint(name, "/v1", protocol="openai", **more)
