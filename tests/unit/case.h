/* case: runs the text cases of a policy, tests/unit/data/NOUN/NAME.case. Header only.
 *
 *   case WHAT IT SHOWS            starts anew
 *   word key=value flag … -> expected
 *
 * '#' begins a comment. The test's function gets the words of each line; where the line has an
 * arrow, the text it has written to `out` must be what stands behind the arrow (blanks folded). */
#ifndef QCC_TESTS_CASE_H
#define QCC_TESTS_CASE_H

#include "common/base/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { CASE_WORDS = 48, CASE_LINE = 1024, CASE_OUT = 1024 };

struct case_line {
    const char *file;
    int number;
    char *word[CASE_WORDS];
    int n;
    const char *expected; /* NULL: no arrow */
};

/* Does what the line says; writes what came of it to out, which is empty at first. On a line "case"
 * it forgets everything. */
typedef void case_fn(void *ctx, const struct case_line *l, char out[static CASE_OUT]);

/* The value of key=value, or NULL. */
static inline const char *case_value(const struct case_line *l, const char *key)
{
    size_t n = strlen(key);
    for (int i = 1; i < l->n; i++)
        if (strncmp(l->word[i], key, n) == 0 && l->word[i][n] == '=')
            return l->word[i] + n + 1;
    return NULL;
}

static inline bool case_flag(const struct case_line *l, const char *flag)
{
    for (int i = 1; i < l->n; i++)
        if (strcmp(l->word[i], flag) == 0)
            return true;
    return false;
}

/* "-1" "250" "250ms" "5s" "2m" "1h": milliseconds, or a plain number. */
static inline int64_t case_parse(const struct case_line *l, const char *s)
{
    char *end;
    double v = strtod(s, &end);
    if (end == s)
        fail_msg("%s:%d: no number: %s", l->file, l->number, s);
    if (strcmp(end, "s") == 0)
        v *= 1000;
    else if (strcmp(end, "m") == 0)
        v *= 60 * 1000;
    else if (strcmp(end, "h") == 0)
        v *= 3600 * 1000;
    else if (*end && strcmp(end, "ms") != 0)
        fail_msg("%s:%d: no number: %s", l->file, l->number, s);
    return (int64_t)v;
}

static inline int64_t case_number(const struct case_line *l, const char *key, int64_t otherwise)
{
    const char *s = case_value(l, key);
    return s ? case_parse(l, s) : otherwise;
}

/* The index of a word among n names; fails the test when it is none of them. */
static inline int case_choice(const struct case_line *l, const char *word, const char *const *names,
                              size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (names[i] && strcmp(names[i], word) == 0)
            return (int)i;
    fail_msg("%s:%d: what is '%s'?", l->file, l->number, word);
    return 0;
}

/* For a word that the test's function does not know. */
static inline void case_unknown(const struct case_line *l)
{
    fail_msg("%s:%d: what is '%s'?", l->file, l->number, l->word[0]);
}

/* One blank between words, none at the ends. */
static inline void case_fold(char *s)
{
    char *to = s;
    for (char *from = s; *from; from++)
        if (!strchr(" \t\r\n", *from))
            *to++ = *from;
        else if (to != s && to[-1] != ' ')
            *to++ = ' ';
    if (to != s && to[-1] == ' ')
        to--;
    *to = '\0';
}

static inline int case_run_line(char *text, struct case_line *l, case_fn *fn, void *ctx)
{
    text[strcspn(text, "#\n")] = '\0';
    char *arrow = strstr(text, "->");
    l->expected = NULL;
    if (arrow) {
        *arrow = '\0';
        case_fold(arrow + 2);
        l->expected = arrow + 2;
    }
    l->n = 0;
    for (char *p = text; *(p += strspn(p, " \t"));) {
        if (l->n == CASE_WORDS)
            fail_msg("%s:%d: too many words", l->file, l->number);
        l->word[l->n++] = p;
        p += strcspn(p, " \t");
        if (*p)
            *p++ = '\0';
    }
    if (l->n == 0)
        return 0;
    char out[CASE_OUT] = "";
    fn(ctx, l, out);
    case_fold(out);
    if (l->expected && strcmp(out, l->expected) != 0)
        fail_msg("%s:%d: expected '%s', came '%s'", l->file, l->number, l->expected, out);
    return l->expected != NULL;
}

/* Runs every .case in the folder (from the root of the repository); fails when there is none. */
static inline void case_run(const char *folder, case_fn *fn, void *ctx)
{
    struct dirent **found;
    int n = scandir(folder, &found, NULL, alphasort), checks = 0;
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        char path[512], text[CASE_LINE];
        size_t len = strlen(found[i]->d_name);
        if (len > 5 && strcmp(found[i]->d_name + len - 5, ".case") == 0) {
            snprintf(path, sizeof path, "%s/%s", folder, found[i]->d_name);
            FILE *file = fopen(path, "r");
            assert_non_null(file);
            struct case_line l = {.file = path};
            while (fgets(text, sizeof text, file)) {
                l.number++;
                checks += case_run_line(text, &l, fn, ctx);
            }
            fclose(file);
        }
        free(found[i]);
    }
    free(found);
    assert_true(checks > 0);
}

#endif
