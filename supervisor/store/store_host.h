/* store_host: the id of this host in its cluster, kept in the file `host` of state_dir. */
#ifndef QCC_SUPERVISOR_STORE_STORE_HOST_H
#define QCC_SUPERVISOR_STORE_STORE_HOST_H

/* Bytes of an id: hex digits. */
enum { STORE_HOST = 16 };

/* Reads the id, or makes one and keeps it. dir: the folder's descriptor; -1: the id holds for this
 * run. What cannot be read or written is a warning. */
void store_host_id(int dir, char id[static STORE_HOST + 1]);

#endif
