#include "supervisor/config/reference.h"

#include "common/conf/conf_key.h"
#include "common/conf/conf_value.h"

#include <string.h>

/* Prints the values that a key may have: the bounds of a number, the words of an enum. */
static void print_values(FILE *out, const struct conf_key *k)
{
    char low[32], high[32];
    size_t n;
    const char *const *words;
    switch (k->kind) {
    case CONF_K_ms:
        conf_ms_text(k->low, low);
        conf_ms_text(k->high, high);
        fprintf(out, "duration, %s to %s", low, high);
        break;
    case CONF_K_bytes:
        conf_bytes_text((uint64_t)k->low, low);
        conf_bytes_text((uint64_t)k->high, high);
        fprintf(out, "size, %s to %s", low, high);
        break;
    case CONF_K_u32:
        fprintf(out, "number, %lld to %lld%s", (long long)k->low, (long long)k->high,
                strcmp(k->dflt, "auto") == 0 ? ", or `auto`" : "");
        break;
    case CONF_K_flag:
        fprintf(out, "`true` or `false`");
        break;
    case CONF_K_ppm:
        conf_ppm_text((uint64_t)k->low, low);
        conf_ppm_text((uint64_t)k->high, high);
        fprintf(out, "decimal number, %s to %s", low, high);
        break;
    case CONF_K_str:
        fprintf(out, k->flags & CONF_OFF ? "text or `off`" : "text");
        break;
    CONF_CASE_WORD:
        words = conf_words(k->kind, &n);
        for (size_t i = 0; i < n; i++)
            fprintf(out, "%s`%s`", i ? ", " : "", words[i]);
        break;
    case CONF_K_strs:
    case CONF_K_affinity:
        fprintf(out, "list of texts");
        break;
    case CONF_K_map:
        fprintf(out, "mapping of texts");
        break;
    case CONF_K_listens:
        fprintf(out, "address, or list of `listen[]`");
        break;
    case CONF_K_clients:
        fprintf(out, "list of `clients[]`");
        break;
    case CONF_K_endpoints:
        fprintf(out, "list of `endpoints[]`");
        break;
    case CONF_K_prices:
        fprintf(out, "list of models with prices");
        break;
    case CONF_K_token:
        fprintf(out, "text");
        break;
    case CONF_K_digest:
        fprintf(out, "64 hex digits");
        break;
    }
}

static void print_row(FILE *out, const struct conf_key *k)
{
    fprintf(out, "| `%s` | ", k->name);
    if (*k->dflt && !strstr(k->help, "Required."))
        fprintf(out, "`%s`", k->dflt);
    fprintf(out, " | ");
    print_values(out, k);
    fprintf(out, " | %s |\n", k->help);
}

/* Whether the section is the first with its path: sections with one path share a table, printed at
 * the first. */
static bool is_first(const struct conf_group *g, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(g->sections[j].path, g->sections[i].path) == 0)
            return false;
    return true;
}

static void print_table(FILE *out, const struct conf_group *g, const char *path)
{
    const char *list = *g->name ? "[]" : "";
    if (!*g->name && !*path)
        fprintf(out, "### At the top\n\n");
    else
        fprintf(out, "### `%s%s%s%s`\n\n", g->name, list, *g->name && *path ? "." : "", path);
    fprintf(out, "| key | default | values | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < g->n; i++) {
        size_t n;
        const struct conf_key *keys = g->sections[i].keys(&n);
        if (strcmp(g->sections[i].path, path) != 0)
            continue;
        for (size_t j = 0; j < n; j++)
            print_row(out, &keys[j]);
    }
    fprintf(out, "\n");
}

static const char preface[] =
    "Durations are a whole number with `ms`, `s`, `m`, `h`, `d` or `y` (365 days); sizes a whole\n"
    "number of bytes, or with `KiB`, `MiB`, `GiB`. A switch is `true`, `yes`, `on` or `false`, "
    "`no`, `off`; where "
    "a\n"
    "duration may be 0s, `off` means that. `${NAME}` in a value is taken from the environment, an\n"
    "unset name is an error; `$${` is a plain `${`. Inside `{ }` and `[ ]` a `${NAME}` needs\n"
    "quotes, as does a text that begins with `*`. Relative paths of keys and certificates start "
    "at\n"
    "the folder of the configuration file. Anchors, aliases, tags and a second document are\n"
    "refused.\n\n";

static const char afterword[] =
    "An endpoint's id is the first 8 hex digits of SHA-256 of `base_url|api_key` as it is\n"
    "configured (without a key nothing follows the `|`); two endpoints with the same URL and key\n"
    "are refused.\n";

void reference_print(FILE *out)
{
    fputs(preface, out);
    for (unsigned id = 0; id < CONF_G__COUNT; id++) {
        const struct conf_group *g = conf_group(id);
        for (size_t i = 0; i < g->n; i++)
            if (is_first(g, i))
                print_table(out, g, g->sections[i].path);
    }
    fputs(afterword, out);
}
