/* The reader of the configuration against text cases (tests/unit/data/yaml/NAME.case), and against
 * real files where the file system matters.
 *
 * A case:   === what it shows
 *           env NAME=VALUE          for this case; `open`: everybody may read the file
 *           >>>
 *           the file
 *           <<<
 *           LINE:COL: message       every fault, in order; none: it is accepted
 *
 * `\t`, `\xHH` and `\\` in the file are those bytes. */
#include "common/base/mem.h"
#include "common/conf/conf_check.h"
#include "common/conf/conf_key.h"
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"
#include "supervisor/config/load.h"
#include "supervisor/config/load_check.h"
#include "supervisor/config/reference.h"
#include "supervisor/config/yaml.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA "tests/unit/data/yaml"

/* ---- text cases */

struct scene {
    char title[128], env[8][128];
    size_t nenv;
    bool open;
    struct buf file, want;
};

static void on_fault(void *arg, bool warning, const char *path, const char *msg)
{
    faults_add(arg, warning, path, "%s", msg);
}

/* Whether the faults are those that the case names. */
static bool scene_run(const char *where, const struct scene *s)
{
    struct faults f = {0};
    struct buf got;
    for (size_t i = 0; i < s->nenv; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s", s->env[i]);
        *strchr(name, '=') = '\0';
        setenv(name, strchr(s->env[i], '=') + 1, 1);
    }
    struct conf *c = yaml_read("f", buf_view(&s->file), s->open, &f);
    if (c)
        load_check(c, &f);
    faults_sort(&f);
    buf_init(&got, 1 << 16);
    for (size_t i = 0; i < f.n; i++) {
        char line[1024];
        faults_line(&f, i, line, sizeof line);
        assert_true(buf_printf(&got, "%s\n", strncmp(line, "f:", 2) == 0 ? line + 2 : line));
    }
    bool same = str_eq(buf_view(&got), buf_view(&s->want));
    if (!same)
        print_error("%s: %s\nwanted:\n" STR_FMT "got:\n" STR_FMT, where, s->title,
                    STR_ARG(buf_view(&s->want)), STR_ARG(buf_view(&got)));
    for (size_t i = 0; i < s->nenv; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s", s->env[i]);
        *strchr(name, '=') = '\0';
        unsetenv(name);
    }
    conf_unref(c);
    faults_free(&f);
    buf_free(&got);
    return same;
}

static void scene_begin(struct scene *s, const char *title)
{
    buf_free(&s->file);
    buf_free(&s->want);
    *s = (struct scene){0};
    snprintf(s->title, sizeof s->title, "%.127s", title);
    buf_init(&s->file, 1 << 16);
    buf_init(&s->want, 1 << 16);
}

/* Copies a line of the file with its escapes resolved. */
static void scene_line(struct scene *s, const char *line)
{
    for (const char *p = line; *p; p++) {
        char c = *p;
        if (c == '\\' && (p[1] == 't' || p[1] == '\\')) {
            c = *++p == 't' ? '\t' : '\\';
        } else if (c == '\\' && p[1] == 'x') {
            char hex[3] = {p[2], p[3], '\0'};
            c = (char)strtoul(hex, NULL, 16);
            p += 3;
        }
        assert_true(buf_add(&s->file, &c, 1));
    }
    assert_true(buf_add(&s->file, "\n", 1));
}

static size_t run_file(const char *path, size_t *failed)
{
    FILE *in = fopen(path, "r");
    struct scene s = {0};
    char line[1024];
    size_t n = 0;
    enum { BEFORE, HEAD, FILE_, WANT } part = BEFORE;
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        if (part != FILE_ && strncmp(line, "=== ", 4) == 0) {
            if (part == WANT)
                *failed += !scene_run(path, &s);
            scene_begin(&s, line + 4);
            part = HEAD;
            n++;
        } else if (part == HEAD && strcmp(line, ">>>") == 0) {
            part = FILE_;
        } else if (part == HEAD && strncmp(line, "env ", 4) == 0 && strchr(line, '=')) {
            assert_true(s.nenv < COUNT_OF(s.env));
            snprintf(s.env[s.nenv++], sizeof s.env[0], "%.127s", line + 4);
        } else if (part == HEAD && strcmp(line, "open") == 0) {
            s.open = true;
        } else if (part == FILE_ && strcmp(line, "<<<") == 0) {
            part = WANT;
        } else if (part == FILE_) {
            scene_line(&s, line);
        } else if (part == WANT && *line) {
            assert_true(buf_printf(&s.want, "%s\n", line));
        } else if (*line && *line != '#') {
            fail_msg("%s: \"%s\" is no line of a case", path, line);
        }
    }
    if (part == WANT)
        *failed += !scene_run(path, &s);
    else if (n)
        fail_msg("%s: the last case has no end", path);
    buf_free(&s.file);
    buf_free(&s.want);
    fclose(in);
    return n;
}

static void text_cases(void **state)
{
    (void)state;
    DIR *folder = opendir(DATA);
    size_t n = 0, failed = 0;
    assert_non_null(folder);
    for (struct dirent *d; (d = readdir(folder));) {
        char path[512];
        if (!str_ends(str_c(d->d_name), STR(".case")))
            continue;
        snprintf(path, sizeof path, DATA "/%s", d->d_name);
        n += run_file(path, &failed);
    }
    closedir(folder);
    assert_int_equal(failed, 0);
    assert_true(n >= 60);
    print_message("%zu cases\n", n);
}

/* ---- values */

static struct conf *read_good(const char *text)
{
    struct faults f = {0};
    struct conf *c = yaml_read("f", str_c(text), false, &f);
    if (!c || f.n || !conf_check(c, on_fault, &f)) {
        char line[1024] = "";
        if (f.n)
            faults_line(&f, 0, line, sizeof line);
        fail_msg("%s\n%s", text, line);
    }
    faults_free(&f);
    return c;
}

#define EP "endpoints: [{name: a, base_url: 'http://h'}]\n"

static void values_arrive(void **state)
{
    (void)state;
    setenv("QCC_T", "from-env", 1);
    struct conf *c = read_good(
        "listen: ['127.0.0.1:1', {address: 'unix:/x'}, '[::1]:2']\n"
        "workers: 3\nstream_ping: off\nexpose_headers: no\nadmin: {listen: off}\n"
        "upstream:\n  connect_timeout: 250ms\n  pool: {max_idle: 7}\n"
        "failure_queue: {probe: off}\n"
        "affinity: {keys: ['header:X-A', 'body:m.n']}\n"
        "models: {override: m, map: {a: b, c: d}}\n"
        "clients: [{name: al, token: t1}]\n"
        "endpoints:\n"
        "- name: one\n  base_url: https://h/p\n  api_key: pre-${QCC_T}-$${X}-$\n"
        "  auth: bearer\n  enabled: off\n  weight: 0\n  models: {allow: ['c*'], map: {x: y}}\n"
        "  headers: {x-h: v w}\n"
        "- {name: two, base_url: 'http://h', api_key: null}\n");
    assert_int_equal(c->nlisten, 3);
    assert_string_equal(c->listen[1].address, "unix:/x");
    assert_string_equal(c->listen[2].address, "[::1]:2");
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->stream_ping, 0);
    assert_false(c->expose_headers);
    assert_null(c->admin.listen);
    assert_int_equal(c->upstream.connect_timeout, 250);
    assert_int_equal(c->pool.max_idle, 7);
    assert_int_equal(c->pool.max_connections, 100);
    assert_int_equal(c->failure_queue.probe, PROBE_OFF);
    assert_int_equal(c->nkeys, 2);
    assert_string_equal(c->keys[0].name, "x-a");
    assert_string_equal(c->model_override, "m");
    assert_string_equal(c->model_map.v[1].to, "d");
    assert_int_equal(c->nclients, 1);
    assert_int_equal(c->nendpoints, 2);
    assert_string_equal(c->endpoints[0].api_key, "pre-from-env-${X}-$");
    assert_int_equal(c->endpoints[0].auth, AUTH_BEARER);
    assert_false(c->endpoints[0].enabled);
    assert_int_equal(c->endpoints[0].weight, 0);
    assert_string_equal(c->endpoints[0].allow.v[0], "c*");
    assert_string_equal(c->endpoints[0].map.v[0].from, "x");
    assert_string_equal(c->endpoints[0].headers.v[0].to, "v w");
    assert_null(c->endpoints[1].api_key);
    conf_unref(c);
    unsetenv("QCC_T");
}

static void lists_have_their_defaults(void **state)
{
    (void)state;
    struct conf *c = read_good(EP);
    assert_int_equal(c->nlisten, 1);
    assert_string_equal(c->listen[0].address, "127.0.0.1:7860");
    assert_int_equal(c->nkeys, 4);
    assert_string_equal(c->keys[3].name, "metadata.user_id");
    assert_int_equal(c->endpoints[0].paths_allow.n, 1);
    assert_string_equal(c->endpoints[0].paths_allow.v[0], "/v1/*");
    assert_int_equal(c->endpoints[0].paths_deny.n, 1);
    assert_string_equal(c->endpoints[0].paths_deny.v[0], "/v1/organizations/*");
    conf_unref(c);
    c = read_good("endpoints:\n- {name: a, base_url: 'http://h', paths: {allow: [/x, '*y']}}\n"
                  "- {name: b, base_url: 'http://i', paths: {deny: []}}\n");
    assert_int_equal(c->endpoints[0].paths_allow.n, 2);
    assert_string_equal(c->endpoints[0].paths_allow.v[1], "*y");
    assert_string_equal(c->endpoints[0].paths_deny.v[0], "/v1/organizations/*");
    assert_string_equal(c->endpoints[1].paths_allow.v[0], "/v1/*");
    assert_int_equal(c->endpoints[1].paths_deny.n, 0);
    conf_unref(c);
    c = read_good("affinity: {keys: []}\n" EP);
    assert_int_equal(c->nkeys, 0);
    conf_unref(c);
}

/* The file of all keys says the same defaults as the table: read, it makes the same
 * configuration as a file that says nothing. */
static void the_reference_names_the_same_defaults(void **state)
{
    (void)state;
    static const char page[] = "tests/data/reference.yaml";
    struct faults f = {0};
    struct buf a, b;
    setenv("ANTHROPIC_API_KEY", "k", 1);
    struct conf *all = conf_load(page, &f);
    faults_print(&f, stderr);
    assert_non_null(all);
    assert_int_equal(f.n, 0);
    struct conf *none = read_good("endpoints: [{name: official, base_url: "
                                  "'https://api.anthropic.com', api_key: k}]");
    buf_init(&a, IPC_CONF_MAX);
    buf_init(&b, IPC_CONF_MAX);
    assert_true(conf_wire_put(all, &a) && conf_wire_put(none, &b));
    assert_int_equal(a.len, b.len);
    assert_memory_equal(buf_data(&a), buf_data(&b), a.len);
    assert_int_equal(all->workers, none->workers);
    assert_null(all->user);
    assert_null(all->state_dir);
    assert_null(all->control_socket);
    assert_string_equal(all->log.file, none->log.file);
    conf_unref(all);
    conf_unref(none);
    faults_free(&f);
    buf_free(&a);
    buf_free(&b);
    unsetenv("ANTHROPIC_API_KEY");
}

static void bounds_of_the_reading(void **state)
{
    (void)state;
    struct faults f = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    /* More faults than are kept. */
    for (int i = 0; i < FAULTS_MAX + 20; i++)
        assert_true(buf_printf(&b, "qqq%d: 1\n", i));
    assert_true(buf_str(&b, STR(EP)));
    conf_unref(yaml_read("f", buf_view(&b), false, &f));
    assert_int_equal(f.n, FAULTS_MAX);
    assert_int_equal(f.dropped, 20);
    assert_int_equal(f.errors, FAULTS_MAX + 20);
    buf_free(&b);
    /* More endpoints than there may be. */
    assert_true(buf_str(&b, STR("endpoints:\n")));
    for (int i = 0; i <= CONF_ENDPOINTS_MAX; i++)
        assert_true(buf_printf(&b, "- {name: e%d, base_url: 'http://h%d'}\n", i, i));
    conf_unref(yaml_read("f", buf_view(&b), false, &f));
    assert_int_equal(f.errors, 1);
    assert_string_equal(f.v[0].text, "endpoints: has more than 2000 elements");
    faults_free(&f);
    buf_free(&b);
}

/* ---- files */

static char dir[] = "/tmp/qcc-test-yaml-XXXXXX";

static const char *file(const char *name, const char *text, unsigned mode)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fputs(text, out) >= 0, 1);
    fclose(out);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void expect(const char *path, bool good, const char *want)
{
    struct faults f = {0};
    char got[4096] = "", line[1024];
    struct conf *c = conf_load(path, &f);
    for (size_t i = 0, n = 0; i < f.n; i++) {
        faults_line(&f, i, line, sizeof line);
        const char *tail = str_starts(str_c(line), str_c(path)) ? line + strlen(path) : line;
        n += (size_t)snprintf(got + n, sizeof got - n, "%s\n", tail);
        assert_true(n < sizeof got);
    }
    /* The folder's name is made up anew in each run. */
    for (char *p; (p = strstr(got, dir));)
        memmove(p, p + strlen(dir) + 1, strlen(p + strlen(dir)));
    assert_string_equal(got, want);
    assert_int_equal(c != NULL, good);
    conf_unref(c);
    faults_free(&f);
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/missing.yaml", dir);
    expect(path, false, ": cannot be opened: No such file or directory\n");
    expect(dir, false, ": is a directory\n");
    expect("/dev/null", false, ": is not a regular file\n");
    expect(file("empty.yaml", "", 0600), false, ":1:1: endpoints: needs at least one endpoint\n");
    char *big = mem_zalloc(YAML_FILE_MAX + 2, 1);
    memset(big, '#', YAML_FILE_MAX + 1);
    expect(file("big.yaml", big, 0600), false, ": is larger than 1024 KiB\n");
    mem_free(big);
    char fifo[128];
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect(fifo, false,
           ":1:1: endpoints: needs at least one endpoint\n"); /* nobody writes: no wait */
}

static void keys_in_the_open(void **state)
{
    (void)state;
    static const char text[] = "endpoints:\n- name: a\n  base_url: http://h\n  api_key: k\n";
    expect(file("open.yaml", text, 0644), true,
           ":4:12: warning: the file holds a key and everybody may read it (chmod o-r, or use "
           "${NAME})\n");
    expect(file("closed.yaml", text, 0640), true, "");
    setenv("QCC_T", "k", 1);
    expect(file("env.yaml", "endpoints:\n- name: a\n  base_url: http://h\n  api_key: ${QCC_T}\n",
                0644),
           true, "");
    unsetenv("QCC_T");
}

static void keys_in_files(void **state)
{
    (void)state;
    static const char text[] =
        "endpoints:\n- name: a\n  base_url: http://h\n  api_key_file: a.key\n";
    struct faults f = {0};
    file("a.key", "  sk-one\n", 0600);
    char path[128];
    snprintf(path, sizeof path, "%s", file("k.yaml", text, 0644));
    struct conf *c = conf_load(path, &f);
    assert_non_null(c);
    assert_int_equal(f.n, 0);
    assert_string_equal(c->endpoints[0].api_key, "sk-one");
    conf_unref(c);
    faults_free(&f);
    file("a.key", "sk-one", 0604);
    expect(path, true,
           ":4:17: warning: endpoints[0].api_key_file: everybody may read a.key (chmod o-r)\n");
    file("a.key", "one\ntwo\n", 0600);
    expect(
        path, false,
        ":4:17: endpoints[0].api_key_file: a.key must hold one line with the key, and no more\n");
    file("a.key", "\n", 0600);
    expect(
        path, false,
        ":4:17: endpoints[0].api_key_file: a.key must hold one line with the key, and no more\n");
    expect(
        file("m.yaml", "endpoints:\n- name: a\n  base_url: http://h\n  api_key_file: none.key\n",
             0600),
        false,
        ":4:17: endpoints[0].api_key_file: none.key cannot be opened: No such file or directory\n");
    expect(
        file("b.yaml",
             "endpoints:\n- name: a\n  base_url: http://h\n  api_key: x\n  api_key_file: a.key\n",
             0600),
        false, ":5:17: endpoints[0].api_key_file: is given beside api_key: keep one\n");
}

static void shell(const char *command)
{
    char line[1024];
    snprintf(line, sizeof line, "cd %s && %s", dir, command);
    assert_int_equal(system(line), 0);
}

static void certificates(void **state)
{
    (void)state;
#define TLS(cert, key)                                                                             \
    "listen: {address: '127.0.0.1:1', tls: {certificate: " cert ", private_key: " key "}}\n"       \
    "upstream: {ca_file: ca.pem}\n" EP
    shell(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=h "
        "-keyout one.key -out one.pem 2>/dev/null && chmod 600 one.key && cp one.pem ca.pem && "
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out two.key 2>/dev/null "
        "&& "
        "chmod 600 two.key && "
        "openssl ec -in one.key -aes128 -passout pass:x -out locked.key 2>/dev/null && chmod 600 "
        "locked.key");
    struct faults f = {0};
    struct conf *c = conf_load(file("tls.yaml", TLS("one.pem", "one.key"), 0644), &f);
    faults_print(&f, stderr);
    assert_non_null(c);
    assert_non_null(strstr(c->listen[0].certificate_pem, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(c->listen[0].private_key_pem, "PRIVATE KEY"));
    assert_string_equal(c->ca_pem, c->listen[0].certificate_pem);
    conf_unref(c);
    faults_free(&f);
    expect(file("tls.yaml", TLS("one.pem", "two.key"), 0600), false,
           ":1:75: listen[0].tls.private_key: two.key is not the key of the certificate one.pem\n");
    expect(file("tls.yaml", TLS("one.pem", "locked.key"), 0600), false,
           ":1:75: listen[0].tls.private_key: locked.key holds no valid PEM private key, or one "
           "with a "
           "passphrase\n");
    expect(
        file("tls.yaml", TLS("one.key", "one.pem"), 0600), false,
        ":1:53: listen[0].tls.certificate: one.key holds no valid PEM certificate\n"
        ":1:75: warning: listen[0].tls.private_key: everybody may read one.pem (chmod o-r)\n"
        ":1:75: listen[0].tls.private_key: one.pem holds no valid PEM private key, or one with a "
        "passphrase\n");
    file("ca.pem", "rubbish\n", 0644);
    expect(file("tls.yaml", TLS("one.pem", "one.key"), 0600), false,
           ":2:21: upstream.ca_file: ca.pem holds no valid PEM certificate\n");
    file("ca.pem", "", 0644);
    expect(file("tls.yaml", TLS("one.pem", "one.key"), 0600), false,
           ":2:21: upstream.ca_file: ca.pem holds no valid PEM certificate\n");
}

static void unknown_user(void **state)
{
    (void)state;
    expect(file("user.yaml", "user: qcc-nobody-at-all\n" EP, 0600), false,
           ":1:7: user: no user \"qcc-nobody-at-all\" on this machine\n");
}

/* The samples that are shipped stay loadable. */
static void samples(void **state)
{
    (void)state;
    static const char *const env[] = {"ANTHROPIC_API_KEY",
                                      "RELAY_A_KEY",
                                      "RELAY_B_KEY",
                                      "CHEAP_KEY",
                                      "QCC_ADMIN_TOKEN",
                                      "QCC_TOKEN_ALICE",
                                      "ANTHROPIC_API_KEY_ONE",
                                      "ANTHROPIC_API_KEY_TWO",
                                      "QCC_REDIS_PASSWORD",
                                      "RELAY_API_KEY",
                                      "QCC_CLUSTER_SECRET_OF_32_BYTES_OR_MORE"};
    static const char *const folders[] = {"conf", "conf/examples"};
    char cert[128], key[128];
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(env); i++)
        setenv(env[i], env[i], 1);
    snprintf(cert, sizeof cert, "%s/one.pem", dir);
    snprintf(key, sizeof key, "%s/one.key", dir);
    setenv("QCC_TLS_CERTIFICATE", cert, 1);
    setenv("QCC_TLS_KEY", key, 1);
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        DIR *d = opendir(folders[i]);
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d));) {
            char path[512];
            struct faults f = {0};
            if (!str_ends(str_c(e->d_name), STR(".yaml")) || strcmp(e->d_name, "prices.yaml") == 0)
                continue;
            snprintf(path, sizeof path, "%s/%s", folders[i], e->d_name);
            struct conf *c = conf_load(path, &f);
            if (!c)
                faults_print(&f, stderr);
            assert_non_null(c);
            conf_unref(c);
            faults_free(&f);
            n++;
        }
        closedir(d);
    }
    assert_true(n >= 5);
    for (size_t i = 0; i < COUNT_OF(env); i++)
        unsetenv(env[i]);
}

/* Each key and its help are in the reference. */
static void reference_is_complete(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    reference_print(out);
    fclose(out);
    for (unsigned id = 0; id < CONF_G__COUNT; id++) {
        const struct conf_group *g = conf_group(id);
        struct conf_iter it = {0};
        const struct conf_section *s;
        const struct conf_key *k;
        while (conf_iter_next(g, &it, &s, &k)) {
            char cell[64];
            snprintf(cell, sizeof cell, "| `%s` | ", k->name);
            assert_non_null(strstr(text, cell));
            assert_non_null(strstr(text, k->help));
            assert_null(strchr(k->help, '|')); /* would end the cell */
        }
    }
    free(text);
}

static int begin(void **state)
{
    (void)state;
    umask(022);
    return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", dir);
    return system(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_cases),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(lists_have_their_defaults),
        cmocka_unit_test(the_reference_names_the_same_defaults),
        cmocka_unit_test(bounds_of_the_reading),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(keys_in_the_open),
        cmocka_unit_test(keys_in_files),
        cmocka_unit_test(certificates),
        cmocka_unit_test(unknown_user),
        cmocka_unit_test(samples),
        cmocka_unit_test(reference_is_complete),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
