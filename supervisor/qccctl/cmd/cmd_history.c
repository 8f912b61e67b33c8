/* cmd_history: what is kept of requests beyond a restart. */
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <string.h>

static void put_state(struct cmd *c, const json_t *doc)
{
    struct str state = doc_text_of(doc, "state");
    bool off = str_eq(state, STR("off"));
    enum tint tint = off                               ? TINT_DIM
                     : str_eq(state, STR("storing"))   ? TINT_GOOD
                     : str_eq(state, STR("sums only")) ? TINT_WARN
                                                       : TINT_BAD;
    cmd_put(c, "history ");
    cmd_tint(c, tint, STR_FMT, STR_ARG(state));
    if (doc_has(doc, "why")) {
        cmd_put(c, ": ");
        cmd_foreign(c, doc_text_of(doc, "why"));
    }
    cmd_put(c, "\n");
}

/* What becomes of old rows. */
static void put_retention(struct cmd *c, const json_t *r)
{
    static const struct {
        struct str state;
        const char *text;
    } texts[] = {
        {STR_LIT("up to date"), "nothing is too old"},
        {STR_LIT("deleting"), "old rows are being deleted, a day of data in an hour at most"},
        {STR_LIT("waiting"), "nothing is deleted in the first 10 minutes"},
        {STR_LIT("held"), "the clock was set: nothing is deleted for 24 hours"},
        {STR_LIT("full"), "the file is at history.max_size: only sums are stored"},
    };
    struct str state = doc_text_of(r, "state");
    cmd_put(c, "kept: requests ");
    human_ms(&c->out, doc_int_of(r, "keep_requests_s") * 1000);
    cmd_put(c, ", sums ");
    human_ms(&c->out, doc_int_of(r, "keep_usage_s") * 1000);
    cmd_put(c, ", at most ");
    human_bytes(&c->out, doc_int_of(r, "max_size_bytes"));
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (str_eq(state, texts[i].state))
            cmd_put(c, "; %s", texts[i].text);
    cmd_put(c, "\n");
}

static void put_last_error(struct cmd *c, const json_t *doc)
{
    if (!doc_has(doc, "last_error"))
        return;
    cmd_put(c, "last error " STR_FMT ": ", STR_ARG(doc_text_of(doc, "last_error_at")));
    cmd_foreign(c, doc_text_of(doc, "last_error"));
    cmd_put(c, "\n");
}

int cmd_history(struct cmd *c, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct cmd *c, int argc, char **argv);
    } jobs[] = {{"check", job_check}, {"prune", job_prune}, {"backup", job_backup}};
    json_t *doc;
    for (size_t i = 0; argc > 1 && i < COUNT_OF(jobs); i++)
        if (strcmp(argv[1], jobs[i].name) == 0)
            return jobs[i].run(c, argc - 1, argv + 1);
    if (argc > 1)
        return cmd_usage(c, "takes nothing, or check, prune, backup");
    int code = cmd_ask(c, "history", "", &doc);
    if (code != CTL_DONE)
        return code;
    if (c->json) {
        cmd_json(c, doc);
        json_decref(doc);
        return code;
    }
    put_state(c, doc);
    if (doc_has(doc, "path")) {
        cmd_put(c, "file ");
        cmd_foreign(c, doc_text_of(doc, "path"));
        cmd_put(c, ", ");
        human_bytes(&c->out, doc_int_of(doc, "size_bytes"));
        cmd_put(c, "\nrequests %lld", (long long)doc_int_of(doc, "requests"));
        if (doc_has(doc, "oldest"))
            cmd_put(c, ", from " STR_FMT " to " STR_FMT, STR_ARG(doc_text_of(doc, "oldest")),
                    STR_ARG(doc_text_of(doc, "newest")));
        cmd_put(c, "\n");
        put_retention(c, json_object_get(doc, "retention"));
    }
    put_last_error(c, doc);
    if (doc_int_of(doc, "dropped"))
        cmd_tint(c, TINT_WARN, "%lld requests were not stored\n",
                 (long long)doc_int_of(doc, "dropped"));
    json_decref(doc);
    return code;
}
