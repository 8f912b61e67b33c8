#include "supervisor/config/expand.h"

#include "supervisor/config/file.h"

#include <stdlib.h>
#include <unistd.h>

static bool is_env_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && c != '_' && !(i && ascii_digit(c)))
            return false;
    }
    return s.n > 0 && s.n < 128;
}

bool expand_forgot_braces(struct str s)
{
    for (size_t i = s.n; i-- > 0;) {
        char c = s.p[i];
        if (c == '$')
            return s.n - i > 2 && is_env_name(str_make(s.p + i + 1, s.n - i - 1)) &&
                   (i == 0 || s.p[i - 1] == ' ');
        if (!(c >= 'A' && c <= 'Z') && c != '_' && !ascii_digit(c))
            return false; /* names of the environment are in capitals; `$x` may be meant */
    }
    return false;
}

/* Says that NAME is not set, and where the service has its environment from. */
static bool not_set(const char *name, const char *file, struct err *e)
{
    char env[4096];
    file_named(file, "qcc.env", env, sizeof env);
    if (access(env, F_OK) != 0)
        return err_set(e, "environment variable %s is not set", name);
    return err_set(e,
                   "environment variable %s is not set here; the service gets its own from %.200s",
                   name, env);
}

/* Appends the value of the ${NAME} that begins at s; *used is its length in s. */
static bool expand_one(struct str s, const char *file, struct buf *out, size_t *used, struct err *e)
{
    const char *close = memchr(s.p, '}', s.n);
    if (!close)
        return err_set(e, "has ${ without }; write $${ for a plain ${");
    struct str name = str_make(s.p + 2, (size_t)(close - s.p) - 2);
    if (!is_env_name(name))
        return err_set(
            e, "has a ${…} that is not the name of an environment variable; write $${ for a "
               "plain ${");
    char text[128];
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    const char *value = getenv(text);
    if (!value)
        return not_set(text, file, e);
    *used = name.n + 3;
    if (!buf_str(out, str_c(value)))
        return err_set(e, "is longer than %d bytes", CONF_TEXT_MAX);
    return true;
}

bool expand(struct str s, bool quoted, const char *file, struct buf *out, struct conf_text *t,
            struct err *e)
{
    *t = (struct conf_text){s, quoted, false};
    if (s.n == 0 || !memchr(s.p, '$', s.n))
        return true;
    while (s.n) {
        size_t used = 1;
        bool plain = s.p[0] != '$';
        if (!plain && str_starts(s, STR("${"))) {
            if (!expand_one(s, file, out, &used, e))
                return false;
            t->hidden = t->quoted = true;
        } else {
            /* "$${" stands for "${": the first byte is left out, the other two are copied. */
            size_t skip = str_starts(s, STR("$${"));
            const char *next = plain ? memchr(s.p, '$', s.n) : NULL;
            size_t take = plain ? (next ? (size_t)(next - s.p) : s.n) : 1 + skip;
            if (!buf_add(out, s.p + skip, take))
                return err_set(e, "is longer than %d bytes", CONF_TEXT_MAX);
            used = skip + take;
        }
        s.p += used;
        s.n -= used;
    }
    t->s = buf_view(out);
    return true;
}
