/* Fuzz target of cluster_name.h: whatever an engine has in the place of a sealed name is refused,
 * or is one that seals to the same; what is sealed here is opened. Input: 8 bytes hash, then the
 * sealed name. */
#include "common/secret/cluster_name.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cluster_keys keys;
    char name[CLUSTER_NAME_MAX + 1], again[CLUSTER_NAME_MAX + 1], sealed[CLUSTER_SEALED_MAX + 1];
    uint64_t h = 0;
    if (!keys.print[0])
        cluster_keys_make(&keys, STR("0123456789abcdef0123456789abcdef"));
    if (size < 8)
        return 0;
    char *p = fuzz_copy(data + 8, size - 8);
    struct str text = str_make(p, size - 8);
    memcpy(&h, data, sizeof h);
    if (cluster_name_open(&keys, h, text, name)) {
        MUST(cluster_name_seal(&keys, str_c(name), sealed) == h);
        MUST(str_eq(str_c(sealed), text));
    }
    /* as a name: sealed and opened, but for what is behind a zero byte or the most */
    struct str own = str_make(p, min_size(strnlen(p, text.n), CLUSTER_NAME_MAX));
    h = cluster_name_seal(&keys, own, sealed);
    MUST(strlen(sealed) <= CLUSTER_SEALED_MAX);
    MUST(cluster_name_open(&keys, h, str_c(sealed), again) == (own.n > 0));
    MUST(own.n == 0 || str_eq(str_c(again), own));
    free(p);
    return 0;
}
