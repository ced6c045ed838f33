/* SPDX-License-Identifier: Apache-2.0 */
/* A session from the inside: session.c makes it, walk.c walks its program. */
#ifndef SCRT_SESSION_PRIV_H
#define SCRT_SESSION_PRIV_H

#include "runtime/scrt_priv.h"

typedef struct ScrtProfile {
    uint64_t ns, runs;
} ScrtProfile;

struct ScrtSession {
    const ScrtModel *model;
    const ScrtEntry *entry;
    ScrtPool *pool;
    ScrtCall call;
    ScrtProfile *profile; /* [n_kernel]; NULL: not wanted */
    void *mapping;        /* of the weights' file, or NULL */

    bool bound;        /* what Entry.bind leaves is of in_dims */
    int64_t **in_dims; /* [n_in][rank] */
    int64_t *value;    /* [n_value] */
    void **buffer;     /* see ScrtPlace; those of states are `now` and `next` */
    void **arg;        /* of kernels */

    uint32_t first_out, first_state, first_next, first_segment; /* buffers */
    size_t *room;             /* [n_segment] bytes that a segment has */
    size_t work_bytes;        /* the sum of them */
    const ScrtTensor *out;    /* during a run: the caller's */
    bool *made;               /* [n_out] during a run: the runtime's memory */
    size_t made_bytes;        /* the sum of them */
    size_t state_bytes, peak; /* bytes */
    char error[512];
};

/* Sets the session's error; returns status. */
ScrtStatus scrt_fail(ScrtSession *s, ScrtStatus status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "[3,784]", cut off where it does not fit. */
const char *scrt_show_dims(char *buf, size_t n, const int64_t *dims, uint32_t rank);

/* Walks steps up to an SCRT_END, or to the first that fails. */
ScrtStatus scrt_walk(ScrtSession *s, const ScrtStep *step);

#endif
