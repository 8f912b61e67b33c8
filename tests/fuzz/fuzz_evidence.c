/* Fuzz target of evidence.h and the classifier: replies of a hostile endpoint. The first byte gives
 * kind and status, lines up to an empty one are headers, the rest is the body. Any input gets a
 * class, a fault and a bounded wait, and symbols and texts within the bounds that limit the
 * classifier's cost. */
#include "common/policy/classify/retry_after.h"
#include "tests/fuzz/fuzz.h"
#include "worker/evidence/evidence.h"

enum { FIELDS_MAX = 16 };

/* Cuts a header line off the front of *s. False: at the empty line, or at the end. */
static bool header(struct str *s, struct http_field *f)
{
    const char *lf = s->n ? memchr(s->p, '\n', s->n) : NULL;
    if (!lf)
        return false;
    struct str line = str_make(s->p, (size_t)(lf - s->p));
    *s = str_make(lf + 1, s->n - line.n - 1);
    const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
    if (!colon)
        return false;
    *f = (struct http_field){
        .name = str_make(line.p, (size_t)(colon - line.p)),
        .value = str_trim(str_make(colon + 1, line.n - (size_t)(colon - line.p) - 1)),
    };
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = {200, 302, 400, 401, 403, 404, 413, 422, 429, 500, 503, 529};
    if (size == 0)
        return 0;
    char *copy = fuzz_copy(data, size);
    struct str s = str_make(copy + 1, size - 1);
    struct http_field f[FIELDS_MAX];
    size_t nf = 0;
    while (nf < FIELDS_MAX && header(&s, &f[nf]))
        nf++;
    struct evidence ev;
    struct verdict v, again;
    struct arena a;
    arena_init(&a, 2 << 20);
    evidence_read(&ev, (enum evidence_kind)(data[0] % 3),
                  statuses[data[0] / 3 % COUNT_OF(statuses)], f, nf, s, &a);
    size_t text = ev.markup.n;
    MUST(ev.ncode <= EVIDENCE_CODES && ev.ntext <= EVIDENCE_TEXTS && ev.nfield <= EVIDENCE_FIELDS &&
         ev.nwait <= EVIDENCE_WAITS);
    for (size_t i = 0; i < ev.ntext; i++) {
        text += ev.text[i].n;
        MUST(ev.bare[i].n <= ev.text[i].n + 1);
    }
    MUST(text <= 32768);
    ev.model = str_make(s.p, min_size(s.n, data[0] % 40));
    classify(&ev, 1769904000000, &v);
    classify(&ev, -1, &again);
    MUST(v.cls != OUTCOME_OK && v.fault != FAULT_NONE && v.rule);
    MUST(v.retry_after_ms >= RETRY_UNPAID && v.retry_after_ms <= RETRY_AFTER_MAX_MS);
    MUST(v.fault != FAULT_REQUEST || v.cls == OUTCOME_PERMANENT);
    MUST(!v.beyond_doubt || v.fault == FAULT_REQUEST);
    MUST(v.scope > SCOPE_NONE && v.scope < SCOPE__COUNT);
    MUST(v.cls != OUTCOME_AUTH || v.scope == SCOPE_ENDPOINT);
    MUST(!v.about_model || v.scope == SCOPE_NAME);
    MUST(again.cls == v.cls && again.fault == v.fault);
    (void)evidence_is_error_body(s);
    arena_free(&a);
    free(copy);
    return 0;
}
