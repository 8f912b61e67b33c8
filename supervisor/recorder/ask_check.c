#include "supervisor/recorder/ask.h"

#include <string.h>

unsigned ask_check(struct ask *a)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(a->db, "PRAGMA quick_check(20)", -1, &st, NULL);
    struct doc faults;
    uint32_t n = 0;
    doc_init(&faults, 64 << 10);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(st);
        const char *line = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : "ok";
        if (line && strcmp(line, "ok") != 0) {
            doc_text(&faults, line);
            n++;
        }
    }
    sqlite3_finalize(st);
    if (rc == SQLITE_DONE) {
        doc_map(a->d, 2);
        doc_kv_flag(a->d, "whole", n == 0);
        doc_text(a->d, "faults");
        doc_array(a->d, n);
        a->d->torn |= faults.torn || !buf_str(&a->d->b, buf_view(&faults.b));
    }
    doc_free(&faults);
    return rc == SQLITE_DONE ? 200 : ask_failed(a, rc);
}
