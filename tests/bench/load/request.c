#include "common/base/err.h"
#include "common/base/log.h"
#include "tests/bench/load/load.h"

#include <arpa/inet.h>

/* A tool as Claude Code describes one, about 1.7 KB. */
static bool add_tool(struct buf *b, uint32_t n)
{
    static const char words[] =
        "Reads a file from the local file system. The path has to be absolute, not a relative "
        "one.\\n"
        "- By default it reads up to 2000 lines from the beginning of the file.\\n- Lines longer "
        "than "
        "2000 characters are cut.\\n- Results come with \\\"line numbers\\\" that begin at 1.\\n";
    static const char property[] =
        "\":{\"type\":\"string\",\"description\":\"The absolute path of the file to read, as it is "
        "on this machine (not a relative one)\",\"minLength\":1},";
    bool ok = buf_printf(b, "%s{\"name\":\"Tool%u\",\"description\":\"", n ? "," : "", n);
    for (int i = 0; i < 3; i++)
        ok = ok && buf_add(b, words, sizeof words - 1);
    ok = ok && buf_printf(b, "\",\"input_schema\":{\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < 4; i++)
        ok = ok && buf_printf(b, "\"path_%d", i) && buf_add(b, property, sizeof property - 1);
    return ok && buf_printf(b, "\"limit\":{\"type\":\"number\",\"maximum\":1.0}},"
                               "\"required\":[\"path_0\"],\"additionalProperties\":false}}");
}

/* The request resembles Claude Code's main request: many text blocks with line ends and quotes,
 * `stream` as the last member. */
void request_make(struct load *l)
{
    struct buf b;
    buf_init(&b, BODY_MAX + 65536);
    static const char block[] =
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"The quick brown fox said: "
        "\\\"jump\\\".\\n"
        "Then it did, over the dog that was lazy, and over some more of them.\\n\\n    if (x) {\\n "
        "       "
        "return y;\\n    }\\nAnd so on, as long texts do, with words and more words.\\n\"}]},";
    bool ok = buf_printf(&b, "{\"model\":\"claude-sonnet-4-6\",");
    ok = ok && (l->tools == 0 || buf_printf(&b, "\"tools\":["));
    for (uint32_t i = 0; ok && i < l->tools; i++)
        ok = add_tool(&b, i);
    ok = ok && buf_printf(&b, "%s\"messages\":[", l->tools ? "]," : "");
    const char *tail = l->mode == MODE_JSON ? "],\"metadata\":{\"user_id\":\"{\\\"device_id\\\":"
                                              "\\\"0\\\"}\"},\"max_tokens\":32000,\"stream\":false}"
                                            : "],\"metadata\":{\"user_id\":\"{\\\"device_id\\\":"
                                              "\\\"0\\\"}\"},\"max_tokens\":32000,\"stream\":true}";
    static const char last[] = "{\"role\":\"user\",\"content\":\"";
    size_t fixed = strlen(tail) + sizeof last - 1 + 2;
    while (ok && b.len + sizeof block - 1 + fixed <= l->body)
        ok = buf_add(&b, block, sizeof block - 1);
    ok = ok && buf_add(&b, last, sizeof last - 1);
    while (ok && b.len + 2 + strlen(tail) < l->body)
        ok = buf_add(&b, "x", 1);
    ok = ok && buf_printf(&b, "\"}%s", tail);
    char addr[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &l->to.sin_addr, addr, sizeof addr);
    ok = ok && buf_printf(&l->req,
                          "POST %s HTTP/1.1\r\n"
                          "Accept: application/json\r\n"
                          "Content-Type: application/json\r\n"
                          "User-Agent: claude-cli/2.1.330 (external, cli)\r\n"
                          "X-Claude-Code-Session-Id: 00000000-0000-4000-8000-",
                          l->path);
    l->slot = l->req.len;
    ok = ok &&
         buf_printf(&l->req,
                    "000000000000\r\n"
                    "X-Stainless-Arch: x64\r\n"
                    "X-Stainless-Lang: js\r\n"
                    "X-Stainless-OS: Linux\r\n"
                    "X-Stainless-Package-Version: 0.74.0\r\n"
                    "X-Stainless-Retry-Count: 0\r\n"
                    "X-Stainless-Runtime: node\r\n"
                    "X-Stainless-Runtime-Version: v24.3.0\r\n"
                    "X-Stainless-Timeout: 600\r\n"
                    "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n"
                    "anthropic-dangerous-direct-browser-access: true\r\n"
                    "anthropic-version: 2023-06-01\r\n"
                    "x-api-key: sk-ant-bench-0123456789\r\n"
                    "x-app: cli\r\n"
                    "Connection: keep-alive\r\n"
                    "Host: %s:%u\r\n"
                    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                    "Content-Length: %u\r\n\r\n",
                    addr, ntohs(l->to.sin_port), b.len) &&
         buf_str(&l->req, buf_view(&b));
    if (!ok)
        die("request too large");
    buf_free(&b);
}
