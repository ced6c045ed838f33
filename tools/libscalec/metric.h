/* SPDX-License-Identifier: Apache-2.0 */
/* A number of the user's own: outputs are written to a folder, whose path a command gets as its
 * last word, and the command prints what they are worth. */
#ifndef SCALEC_METRIC_H
#define SCALEC_METRIC_H

#include "tools/libscalec/trial.h"

typedef struct Metric {
    ScCtx *cx;
    const char *command;
    uint32_t n_sample;
    const char *folder; /* in $TMPDIR; NULL: it is not open */
} Metric;

/* False with errors; to be closed either way. */
bool metric_open(ScCtx *cx, const char *command, uint32_t n_sample, Metric *ret);
/* Writes the outputs of sample i as i.npz. */
bool metric_add(Metric *x, const ScrtModel *model, uint32_t i, const ScrtTensor *out);
/* What the command prints. It is a shell's, as its giver wrote it. */
bool metric_ask(const Metric *x, double *ret);
void metric_close(Metric *x);

#endif
