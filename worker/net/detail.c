#include "worker/net/detail.h"

#include <stdio.h>
#include <string.h>

void detail_set(struct detail *d, enum net_fault why, const char *host, const char *more)
{
    enum { HOST = 64 };
    char behind[HOST + 4] = "";
    if (host)
        snprintf(behind, sizeof behind, " (%.*s)", HOST, host);
    /* the host is never what is cut off */
    int room = DETAIL_MAX - 1 - (int)strlen(net_fault_text(why)) - 2 - (int)strlen(behind);
    d->why = why;
    snprintf(d->text, sizeof d->text, "%s%s%.*s%s", net_fault_text(why), more && *more ? ": " : "",
             room, more ? more : "", behind);
    for (char *p = d->text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
}
