#include "supervisor/process/signals.h"

static void add_all(sigset_t *set)
{
    static const int obeyed[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < COUNT_OF(obeyed); i++)
        sigaddset(set, obeyed[i]);
}

void signals_block(bool on)
{
    sigset_t set;
    sigemptyset(&set);
    add_all(&set);
    sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void signals_block_only(const sigset_t *base)
{
    sigset_t set = *base;
    add_all(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
}
