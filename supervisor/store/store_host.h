/* store_host: what a host of a cluster keeps in state_dir: its id in the file `host`, and in
 * `hosts` how many it saw last, so that it takes no more than its part of what they share while the
 * engine cannot be reached after a start. */
#ifndef QCC_SUPERVISOR_STORE_STORE_HOST_H
#define QCC_SUPERVISOR_STORE_STORE_HOST_H

#include "common/base/base.h"

/* Bytes of an id: hex digits. */
enum { STORE_HOST = 16 };

/* Reads the id, or makes one and keeps it. dir: the folder's descriptor; -1: the id holds for this
 * run. What cannot be read or written is a warning. */
void store_host_id(int dir, char id[static STORE_HOST + 1]);

/* How many hosts were seen last, as the file `hosts` has it; 0: it is not known. */
uint32_t store_host_seen(int dir);
/* Keeps that number. What cannot be written is a warning. */
void store_host_keep_seen(int dir, uint32_t n);

#endif
