#include "supervisor/config/faults.h"

#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdlib.h>

struct fault_place {
    char *path;
    unsigned line, col;
    bool faulty;
};

void faults_begin(struct faults *f, const char *file)
{
    char *name = mem_strdup(file);
    faults_free(f);
    f->file = name;
}

void faults_free(struct faults *f)
{
    for (size_t i = 0; i < f->n; i++) {
        mem_free(f->v[i].path);
        mem_free(f->v[i].text);
    }
    for (size_t i = 0; i < f->nplaces; i++)
        mem_free(f->places[i].path);
    mem_free(f->v);
    mem_free(f->places);
    mem_free(f->file);
    *f = (struct faults){0};
}

static struct fault_place *place_add(struct faults *f, const char *path)
{
    if (f->nplaces == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 64;
        f->places = mem_realloc(f->places, f->cap, sizeof *f->places);
    }
    struct fault_place *p = &f->places[f->nplaces++];
    *p = (struct fault_place){.path = mem_strdup(path)};
    return p;
}

void faults_place(struct faults *f, const char *path, unsigned line, unsigned col)
{
    struct fault_place *p = place_add(f, path);
    p->line = line;
    p->col = col;
}

void faults_excuse(struct faults *f, const char *path)
{
    place_add(f, path)->faulty = true;
}

/* Whether the element `outer` contains `inner`: "a.b" contains "a.b.c", "a.b[1]" and itself. */
static bool is_around(const char *outer, const char *inner)
{
    size_t n = strlen(outer);
    return strncmp(outer, inner, n) == 0 &&
           (inner[n] == '\0' || inner[n] == '.' || inner[n] == '[');
}

static void keep(struct faults *f, unsigned line, unsigned col, bool warning, const char *path,
                 const char *fmt, va_list ap)
{
    char text[768];
    int n = snprintf(text, sizeof text, *path ? "%s: " : "%s", path);
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    f->errors += !warning;
    if (!warning && *path)
        faults_excuse(f, path);
    if (f->n == FAULTS_MAX) {
        f->dropped++;
        return;
    }
    f->v = mem_realloc(f->v, f->n + 1, sizeof *f->v);
    f->v[f->n++] = (struct fault_found){line, col, warning, mem_strdup(path), mem_strdup(text)};
}

void faults_at(struct faults *f, unsigned line, unsigned col, bool warning, const char *path,
               const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    keep(f, line, col, warning, path, fmt, ap);
    va_end(ap);
}

/* The place of the element, or of the nearest one around it; NULL: there is none. *faulty: one of
 * them has an error already. */
static const struct fault_place *nearest(const struct faults *f, const char *path, bool *faulty)
{
    const struct fault_place *near = NULL;
    size_t depth = 0;
    *faulty = false;
    for (size_t i = 0; i < f->nplaces; i++) {
        const struct fault_place *p = &f->places[i];
        if (!is_around(p->path, path))
            continue;
        *faulty |= p->faulty;
        if (!p->faulty && (!near || strlen(p->path) > depth)) {
            near = p;
            depth = strlen(p->path);
        }
    }
    return near;
}

bool faults_in(const struct faults *f, const char *path)
{
    const char *x;
    for (size_t at = 0; (x = faults_next(f, &at));)
        if (is_around(x, path) || is_around(path, x))
            return true;
    return false;
}

const char *faults_next(const struct faults *f, size_t *at)
{
    while (*at < f->nplaces && !f->places[*at].faulty)
        ++*at;
    return *at < f->nplaces ? f->places[(*at)++].path : NULL;
}

void faults_take(struct faults *f, bool warning, const char *path, const struct faults *of)
{
    char line[700];
    bool faulty;
    const struct fault_place *p = *path ? nearest(f, path, &faulty) : NULL;
    unsigned at_line = p ? p->line : 0, at_col = p ? p->col : 0;
    for (size_t i = 0; i < of->n; i++) {
        faults_line(of, i, line, sizeof line);
        faults_at(f, at_line, at_col, warning || of->v[i].warning, path, "%s", line);
    }
    f->dropped += of->dropped;
}

void faults_add(struct faults *f, bool warning, const char *path, const char *fmt, ...)
{
    bool faulty;
    /* The fault is only counted, so its place is not looked up: for 20,000 faults in 30,000
     * elements that would take seconds. */
    if (f->n == FAULTS_MAX) {
        f->errors += !warning;
        f->dropped++;
        return;
    }
    const struct fault_place *near = nearest(f, path, &faulty);
    if (faulty)
        return;
    va_list ap;
    va_start(ap, fmt);
    keep(f, near ? near->line : 1, near ? near->col : 1, warning, path, fmt, ap);
    va_end(ap);
}

static int fault_cmp(const void *a, const void *b)
{
    const struct fault_found *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->col != y->col)
        return x->col < y->col ? -1 : 1;
    return strcmp(x->text, y->text);
}

void faults_sort(struct faults *f)
{
    if (f->n)
        qsort(f->v, f->n, sizeof *f->v, fault_cmp);
}

void faults_line(const struct faults *f, size_t i, char *out, size_t size)
{
    const struct fault_found *v = &f->v[i];
    const char *kind = v->warning ? "warning: " : "";
    if (v->line)
        snprintf(out, size, "%s:%u:%u: %s%s", f->file, v->line, v->col, kind, v->text);
    else
        snprintf(out, size, "%s: %s%s", f->file, kind, v->text);
}

void faults_print(const struct faults *f, FILE *out)
{
    char line[1536];
    for (size_t i = 0; i < f->n; i++) {
        faults_line(f, i, line, sizeof line);
        fprintf(out, "%s\n", line);
    }
    if (f->dropped)
        fprintf(out, "%s: and %zu more\n", f->file, f->dropped);
}

void faults_log(const struct faults *f)
{
    char line[1536];
    for (size_t i = 0; i < f->n; i++) {
        faults_line(f, i, line, sizeof line);
        log_line(f->v[i].warning ? LOG_L_WARNING : LOG_L_ERROR, STR(""), "%s", line);
    }
    if (f->dropped)
        log_error("%s: and %zu more", f->file, f->dropped);
}
