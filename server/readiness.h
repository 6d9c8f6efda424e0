/*
 * readiness: whether this process wants new work, as /health/ready says it. Any thread.
 */
#ifndef LASTCALL_SERVER_READINESS_H
#define LASTCALL_SERVER_READINESS_H

enum readiness { READINESS_STARTING, READINESS_READY, READINESS_PAUSED, READINESS_STOPPING };

void readiness_set(enum readiness readiness);
enum readiness readiness_get(void);

/* "starting", "ready", "paused", "stopping". */
const char *readiness_name(enum readiness readiness);

#endif
