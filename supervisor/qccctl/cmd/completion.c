/* completion: the completion scripts of packaging/completion, built in for installations of the
 * program alone. */
#include "supervisor/qccctl/cmd/cmd.h"

#include <string.h>

static const char bash[] =
#include "completion_bash.inc"
    ;
static const char zsh[] =
#include "completion_zsh.inc"
    ;

int completion_print(struct cmd *c, int argc, char **argv)
{
    bool is_bash = argc == 2 && strcmp(argv[1], "bash") == 0;
    if (!is_bash && (argc != 2 || strcmp(argv[1], "zsh") != 0))
        return cmd_usage(c, "takes bash or zsh");
    (void)!buf_str(&c->out, str_c(is_bash ? bash : zsh));
    return CTL_DONE;
}
