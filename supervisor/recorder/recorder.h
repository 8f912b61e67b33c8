/* recorder: the process that keeps the history: it reads records from the feed and stores them, a
 * batch a second, and says how it is. It writes no log: the supervisor logs what REC_STATE says. It
 * lives until REC_STOP; when the supervisor is gone, until the last worker is gone. */
#ifndef QCC_SUPERVISOR_RECORDER_RECORDER_H
#define QCC_SUPERVISOR_RECORDER_RECORDER_H

/* Runs with the channel to the supervisor, the feed's reading end and the folder of the history,
 * which are taken over. Returns the exit code (enum worker_exit). */
int recorder_run(int channel, int feed, int dir);

#endif
