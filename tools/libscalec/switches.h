/* SPDX-License-Identifier: Apache-2.0 */
/* A low-precision graph compiled with a switch at each storage site (sc_switched_graph): whichever
 * sites are kept in f32, one program says what the outputs are worth then. */
#ifndef SCALEC_SWITCHES_H
#define SCALEC_SWITCHES_H

#include "tools/libscalec/metric.h"
#include "tools/libscalec/trial.h"

typedef struct Switches {
    ScCtx *cx;
    Trial trial;
    ScalecSamples *samples;
    uint32_t n_sample, n_in, n_site;
    bool *keep;        /* [n_site] in the order of sc_storage_sites: the caller sets it */
    ScrtTensor *in;    /* [n_in + n_site] */
    ScrtTensor **want; /* [n_sample] the outputs with all sites kept */
    ScrtTensor *out;
    TrialNoise *sum; /* [n_out] of the last run of all samples */
} Switches;

/* Compiles it and runs the samples with all sites kept; none is after that. Borrows samples. False
 * with errors; to be closed either way. */
bool switches_open(ScCtx *cx, const ScGraph *low, ScalecSamples *s, uint32_t n_site, Switches *ret);
/* Runs all samples: the mean noise to signal of the outputs beside those with all sites kept; of
 * each it stays in x->sum. m (NULL: nobody asks) gets the outputs. */
bool switches_noise(Switches *x, Metric *m, double *ret);
void switches_close(Switches *x);

#endif
