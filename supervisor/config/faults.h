/* faults: errors and warnings about a configuration file, each with its place, and the places of
 * the file's elements, so that a rule that is checked long after the reading can name line and
 * column. The owner begins with `struct faults f = {0}` and ends with faults_free. */
#ifndef QCC_SUPERVISOR_CONFIG_FAULTS_H
#define QCC_SUPERVISOR_CONFIG_FAULTS_H

#include "common/base/base.h"

#include <stdio.h>

/* Faults beyond this number are counted, not kept. */
enum { FAULTS_MAX = 100 };

struct fault_found {
    unsigned line, col; /* from 1; 0: the file as a whole */
    bool warning;
    char *path; /* "endpoints[2].base_url", "" for none */
    char *text; /* "endpoints[2].base_url: must begin with …" */
};

struct faults {
    char *file;
    struct fault_found *v;
    size_t n, dropped;
    size_t errors; /* faults that are no warnings, dropped ones included */
    struct fault_place *places;
    size_t nplaces, cap;
};

/* Empties f and sets the name of the file, which is copied. */
void faults_begin(struct faults *f, const char *file);
/* Frees all; f is then empty. */
void faults_free(struct faults *f);

/* Records where the element `path` stands in the file. */
void faults_place(struct faults *f, const char *path, unsigned line, unsigned col);

/* Adds a fault at a given place. The path is put in front of the sentence, unless it is "". */
void faults_at(struct faults *f, unsigned line, unsigned col, bool warning, const char *path,
               const char *fmt, ...) PRINTF_LIKE(6, 7);

/* Adds a fault of an element, at its place or that of the nearest element around it. Does nothing
 * when the element, or one around it, has an error already: the fault is then a consequence. */
void faults_add(struct faults *f, bool warning, const char *path, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Adds the faults of a file that the element `path` names, each as "FILE:LINE:COL: message" at the
 * place of the element; of the file as a whole when path is "". warning: they are warnings here. */
void faults_take(struct faults *f, bool warning, const char *path, const struct faults *of);

/* Marks an element as faulty without a message, so that a misspelt key is not reported as missing
 * too. */
void faults_excuse(struct faults *f, const char *path);

/* Whether the element `path`, one around it or one in it has an error. */
bool faults_in(const struct faults *f, const char *path) MUST_CHECK;

/* The next element with an error, from *at (0 at first) on; NULL: there is none left. Valid until a
 * fault is added. */
const char *faults_next(const struct faults *f, size_t *at);

/* Sorts the faults in the order of the file. */
void faults_sort(struct faults *f);

/* "FILE:LINE:COL: message" of v[i] ("FILE: message" without a place) into out, cut at size. */
void faults_line(const struct faults *f, size_t i, char *out, size_t size);

/* Prints all faults, a line each, and how many were dropped. */
void faults_print(const struct faults *f, FILE *out);

/* Logs all faults as errors and warnings, a line each, and how many were dropped. */
void faults_log(const struct faults *f);

#endif
