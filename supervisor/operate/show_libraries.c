/* show_libraries: the libraries of the supervisor, as -V prints them. */
#include "supervisor/operate/show_parts.h"

#include <ev.h>
#include <msgpack.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>

void show_put_libraries(struct doc *d)
{
    char ev[24];
    snprintf(ev, sizeof ev, "%d.%d", ev_version_major(), ev_version_minor());
    doc_text(d, "libraries");
    doc_map(d, 4);
    doc_kv_text(d, "libev", ev);
    doc_kv_text(d, "libyaml", yaml_get_version_string());
    doc_kv_text(d, "msgpack-c", msgpack_version());
    doc_kv_text(d, "OpenSSL", OpenSSL_version(OPENSSL_VERSION));
}
