/* names: the texts of the history, each stored once and known by its number. What clients choose is
 * bounded: names beyond a kind's bound are "(other)". */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_NAMES_H
#define QCC_SUPERVISOR_RECORDER_TABLES_NAMES_H

#include "common/base/str.h"

#include <sqlite3.h>

/* Numbers of the file, which never get another meaning. */
enum name_kind { NAME_ENDPOINT, NAME_MODEL, NAME_CLIENT, NAME_PATH, NAME_END, NAME_KINDS };

struct name_slot {
    int64_t id; /* 0: empty */
    char *text; /* owned */
    uint8_t kind;
};

/* Zero bytes but for db are a valid start. */
struct names {
    sqlite3 *db; /* borrowed */
    sqlite3_stmt *find, *add, *count;
    struct name_slot *v; /* owned hash table of `cap` places, a power of two */
    size_t n, cap;
    int64_t counts[NAME_KINDS]; /* names of that kind in the file */
    bool counted;
    unsigned forgets; /* how often all was forgotten */
};

/* The number of the text; 0 for an empty one. Adds it to the file if it is new, within the caller's
 * transaction. -1: SQLite failed. */
int64_t names_id(struct names *n, enum name_kind kind, struct str text);

/* As names_id, for a text that anybody may make up: it is new only in the first half of the kind's
 * room; the rest is for what was served. */
int64_t names_id_doubtful(struct names *n, enum name_kind kind, struct str text);

/* Forgets all: after a transaction was rolled back, or before the file is closed. */
void names_forget(struct names *n);

#endif
