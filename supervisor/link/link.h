/* link: the link of the supervisor to the engine through which hosts share state: the process. */
#ifndef QCC_SUPERVISOR_LINK_LINK_H
#define QCC_SUPERVISOR_LINK_LINK_H

/* Serves until the supervisor ends or stops it. channel: the descriptor of its end. Returns the
 * exit code.
 */
int link_run(int channel);

#endif
