#include "common/policy/shared/shared_log.h"

static void copy(char *out, struct str s)
{
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

bool shared_log_entry(struct str s)
{
    const char *dash = s.n ? memchr(s.p, '-', s.n) : NULL;
    uint64_t v;
    size_t n = dash ? (size_t)(dash - s.p) : 0;
    return dash && s.n <= SHARED_ENTRY_MAX && str_to_u64(str_make(s.p, n), UINT64_MAX, &v) &&
           str_to_u64(str_make(dash + 1, s.n - n - 1), UINT64_MAX, &v);
}

/* Whether s is an epoch: letters and digits. */
static bool shared_log_epoch(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_digit(s.p[i]) && (ascii_lower(s.p[i]) < 'a' || ascii_lower(s.p[i]) > 'z'))
            return false;
    return s.n > 0 && s.n <= SHARED_EPOCH_MAX;
}

enum shared_resync shared_log_resume(const struct shared_log *l, struct str epoch, uint64_t found,
                                     uint64_t joined)
{
    if (!l->epoch[0])
        return SHARED_RESYNC_FIRST;
    if (!str_eq(str_c(l->epoch), epoch))
        return SHARED_RESYNC_EPOCH;
    /* before the first entry there is none to be found */
    if (l->n == 0)
        return SHARED_RESYNC_NONE;
    return found == l->n && joined >= l->n ? SHARED_RESYNC_NONE : SHARED_RESYNC_LOST;
}

bool shared_log_begin(struct shared_log *l, struct str epoch, struct str entry, uint64_t n)
{
    if (!shared_log_epoch(epoch) || (entry.n && !shared_log_entry(entry)))
        return false;
    copy(l->epoch, epoch);
    copy(l->entry, entry);
    l->n = n;
    return true;
}

enum shared_resync shared_log_next(struct shared_log *l, struct str entry, uint64_t n)
{
    if (!shared_log_entry(entry) || n != l->n + 1)
        return SHARED_RESYNC_GAP;
    copy(l->entry, entry);
    l->n = n;
    return SHARED_RESYNC_NONE;
}

const char *shared_resync_name(enum shared_resync r)
{
    static const char *const name[SHARED_RESYNC__COUNT] = {
        [SHARED_RESYNC_NONE] = "none",   [SHARED_RESYNC_FIRST] = "first",
        [SHARED_RESYNC_EPOCH] = "epoch", [SHARED_RESYNC_LOST] = "lost",
        [SHARED_RESYNC_GAP] = "gap",
    };
    return name[r];
}
