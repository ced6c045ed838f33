/* SPDX-License-Identifier: Apache-2.0 */
/* A session from the inside: session.c makes it, walk.c walks its program. */
#ifndef SCRT_SESSION_PRIV_H
#define SCRT_SESSION_PRIV_H

#include "runtime/scrt_priv.h"

struct ScrtSession {
    const ScrtModel *model;
    const ScrtEntry *entry;
    const ScrtLevel *level;
    ScrtPool *pool;
    ScrtCall call;
    ScrtProfile *profile; /* [n_kernel + 1], the copies last; NULL: not wanted */
    void *mapping;        /* of the weights' file, or NULL */
    bool subnormals;      /* of ScrtOptions */

    ScrtStates *states;
    bool bound; /* what Entry.bind leaves is of in_dims, and of this version of the states */
    uint64_t version;
    int64_t **in_dims; /* [n_in][rank] */
    int64_t *value;    /* [n_value] */
    void **buffer;     /* see ScrtPlace */
    void **arg;        /* of kernels */

    uint32_t first_out, first_state, first_next, first_segment; /* buffers */
    size_t *room;          /* [n_segment] bytes that a segment has */
    size_t work_bytes;     /* the sum of them */
    const ScrtTensor *out; /* during a run: the caller's */
    bool *made;            /* [n_out] during a run: the runtime's memory */
    size_t made_bytes;     /* the sum of them */
    size_t peak;           /* bytes */
    char error[768];
};

/* Sets the session's error; returns status. */
ScrtStatus scrt_fail(ScrtSession *s, ScrtStatus status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "[3,784]", cut off where it does not fit. */
const char *scrt_show_dims(char *buf, size_t n, const int64_t *dims, uint32_t rank);

/* The states of a session: its own, or those of another. Closing takes NULL. */
ScrtStatus scrt_states_open(ScrtSession *s, ScrtStates *shared);
void scrt_states_close(ScrtStates *s);
size_t scrt_states_bytes(const ScrtStates *s);
uint64_t scrt_states_version(const ScrtStates *s);           /* changes as extents do */
int64_t scrt_states_extent(const ScrtStates *s, uint32_t i); /* along what grows */
void scrt_states_begin(ScrtSession *s);                      /* a run: where they lie */
/* See SCRT_STATE. */
ScrtStatus scrt_states_use(ScrtSession *s, uint32_t i, const int64_t *dims, int64_t after);
void scrt_states_move(ScrtSession *s); /* after a run that did not fail */

/* Walks steps up to an SCRT_END, or to the first that fails. */
ScrtStatus scrt_walk(ScrtSession *s, const ScrtStep *step);

#endif
