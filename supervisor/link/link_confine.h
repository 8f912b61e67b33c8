/* link_confine: what the link gives up before it reads a byte of the network: running programs,
 * writing files, listening, other processes. */
#ifndef QCC_SUPERVISOR_LINK_LINK_CONFINE_H
#define QCC_SUPERVISOR_LINK_LINK_CONFINE_H

#include "common/base/err.h"

/* Enters the filter for good. False: the kernel has none; *e says why. */
bool link_confine(struct err *e) MUST_CHECK;

#endif
