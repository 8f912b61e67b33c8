#include "supervisor/link/command.h"

#include <hiredis/hiredis.h>

#include <stdarg.h>
#include <stdio.h>

void command_begin(struct command *c)
{
    if (!c->text.max)
        buf_init(&c->text, COMMAND_BYTES);
    buf_cut(&c->text, 0);
    c->n = 0;
    c->over = false;
}

void command_free(struct command *c)
{
    buf_free(&c->text);
}

void command_str(struct command *c, struct str s)
{
    c->over |= c->n == COMMAND_WORDS || !buf_str(&c->text, s);
    if (!c->over)
        c->len[c->n++] = s.n;
}

void command_u64(struct command *c, uint64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    command_str(c, str_make(text, (size_t)n));
}

void command_printf(struct command *c, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->over |= n < 0 || n >= (int)sizeof text;
    if (!c->over)
        command_str(c, str_make(text, (size_t)n));
}

bool command_write(const struct command *c, struct buf *out)
{
    const char *word[COMMAND_WORDS];
    const char *p = buf_view(&c->text).p;
    char *text = NULL;
    if (c->over)
        return false;
    for (size_t i = 0; i < c->n; p += c->len[i++])
        word[i] = p;
    int n = redisFormatCommandArgv(&text, (int)c->n, word, c->len);
    bool ok = n >= 0 && buf_add(out, text, (size_t)n);
    if (n >= 0)
        redisFreeCommand(text);
    return ok;
}
