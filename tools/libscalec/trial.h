/* SPDX-License-Identifier: Apache-2.0 */
/* A graph compiled for this machine and run in this process, to learn something about it. */
#ifndef SCALEC_TRIAL_H
#define SCALEC_TRIAL_H

#include "tools/libscalec/scalec.h"

typedef struct Trial {
    ScObject *object;
    ScLoaded *loaded;
    ScrtSession *session;
    const ScrtModel *model;
    void *mapped;  /* the weights, where they are in a file */
    bool borrowed; /* the object is another's */
} Trial;

/* Runs what is left of the pipeline on g, which it takes over (NULL is absorbed), but for passes
 * that would change what scales are there, and opens a session. quick: compiled in less time, for
 * few runs. False with errors; to be closed either way. */
bool trial_open(ScCtx *cx, ScGraph *g, bool quick, Trial *ret);
/* The same with an object at hand, which stays the caller's. */
bool trial_borrow(ScCtx *cx, ScObject *o, Trial *ret);
/* out [n_out], each data freed with trial_free. False with SC_E_RUN. */
bool trial_run(ScCtx *cx, Trial *t, const ScrtTensor *in, ScrtTensor *out);
typedef struct TrialNoise { /* of one output, over runs */
    bool counts;            /* it is of floats */
    double signal, noise; /* power, where the wanted numbers are finite; noise infinite where there
                           * are more or fewer elements, as data decided */
} TrialNoise;
/* Adds a run's. */
void trial_add_noise(TrialNoise *sum, const ScrtTensor *got, const ScrtTensor *want);
/* Noise to signal of an output over all its runs; 0: it is exact, or not of floats. Runs count by
 * their power: one that says nearly nothing has no say. */
double trial_ratio(const TrialNoise *sum);
/* The mean of those that are of floats, of n outputs. */
double trial_mean_ratio(const TrialNoise *sum, uint32_t n);
/* Of the first output of floats that has rows: adds how many there are, and how many have their
 * largest element where want's have it. */
void trial_count_rows(const ScrtTensor *got, const ScrtTensor *want, uint32_t n_out, uint64_t *rows,
                      uint64_t *same);
void trial_free(ScrtTensor *t, uint32_t n);
void trial_close(Trial *t);

#endif
