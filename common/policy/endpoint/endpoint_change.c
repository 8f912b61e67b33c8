#include "common/policy/endpoint/endpoint_change.h"

#include <string.h>

void ep_change(struct ep_changes *ch, const char *family, enum ep_what what, const char *from,
               const char *to, const char *why, int64_t ms)
{
    ch->dirty = true;
    if (ch->n == EP_NOTES) {
        ch->lost++;
        return;
    }
    struct ep_note *n = &ch->note[ch->n++];
    *n = (struct ep_note){.what = what, .from = from, .to = to, .why = why, .ms = ms};
    memcpy(n->family, family, strnlen(family, sizeof n->family - 1));
}

void ep_change_breaker(struct ep_changes *ch, const char *family, const struct breaker *b,
                       enum breaker_state from, const char *why)
{
    uint32_t lost = ch->lost;
    if (b->state == from)
        return;
    ep_change(ch, family, EP_NOTE_BREAKER, breaker_state_name(from), breaker_state_name(b->state),
              why, 0);
    if (b->state == BREAKER_OPEN && ch->lost == lost)
        ch->note[ch->n - 1].failures = b->failures;
}
