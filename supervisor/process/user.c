#include "supervisor/process/user.h"

#include "common/base/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

bool user_find(struct user *u, const char *name, struct err *e)
{
    *u = (struct user){0};
    if (!name)
        return true;
    errno = 0;
    const struct passwd *pw = getpwnam(name);
    if (!pw)
        return errno && errno != ENOENT ? err_sys(e, "user: looking up %s", name)
                                        : err_set(e, "user: there is no user %s", name);
    if (geteuid() == 0) {
        *u = (struct user){.name = name, .uid = pw->pw_uid, .gid = pw->pw_gid};
        return true;
    }
    if (pw->pw_uid != geteuid())
        log_warn("user: not started as root, so the user stays as it is");
    return true;
}

void user_text(uid_t uid, char *text, size_t size)
{
    FILE *f = fopen("/etc/passwd", "re");
    const struct passwd *pw = f ? fgetpwent(f) : NULL;
    while (pw && pw->pw_uid != uid)
        pw = fgetpwent(f);
    if (pw)
        snprintf(text, size, "user %s", pw->pw_name);
    else
        snprintf(text, size, "user %u", (unsigned)uid);
    if (f)
        fclose(f);
}

bool user_become(const struct user *u, struct err *e)
{
    if (!u->name)
        return true;
    if (initgroups(u->name, u->gid) == -1 || setgid(u->gid) == -1 || setuid(u->uid) == -1)
        return err_sys(e, "user: cannot become %s", u->name);
    if (u->uid != 0 && setuid(0) == 0)
        return err_set(e, "user: root could be had back after becoming %s", u->name);
    return true;
}
