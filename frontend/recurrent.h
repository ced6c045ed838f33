/* SPDX-License-Identifier: Apache-2.0 */
/* One time step of RNN, GRU and LSTM, on any builder: that of the model, or that of a loop's body.
 */
#ifndef SC_RECURRENT_H
#define SC_RECURRENT_H

#include "frontend/frontend_priv.h"

typedef enum ImCellKind { IM_RNN, IM_GRU, IM_LSTM } ImCellKind;

typedef struct ImActivation {
    const char *name; /* of ONNX, as it spells it */
    double alpha, beta;
} ImActivation;

typedef struct ImCell {
    ImCellKind kind;
    ScrtDtype t;
    const ScTerm *hidden; /* elements of the hidden state: H */
    double clip;          /* bounds what activations receive; 0: nothing does */
    bool coupled;         /* LSTM: the forget gate is 1 - the input gate */
    bool linear;          /* GRU: the reset gate comes after the product */
    ImActivation f[3];    /* gates, candidate, and what an LSTM's cell becomes */
} ImCell;

/* What a step reads besides: SC_ABSENT where there is none. */
typedef struct ImCellWeights {
    ScVal r;    /* [gates H, H] */
    ScVal bias; /* [H], GRU with linear: what is added to the product of its candidate */
    ScVal peep; /* [3 H], LSTM: input, output, forget */
} ImCellWeights;

/* Gates of a kind: 1, 3 (update, reset, candidate), 4 (input, output, forget, candidate). */
uint32_t im_cell_gates(ImCellKind kind);
uint32_t im_cell_activations(ImCellKind kind); /* of one direction */

/* The activation of that name, which ONNX compares without case, its parameters still the
 * defaults; false where there is none. Parameters that it takes: none, alpha, alpha and beta. */
bool im_activation(const char *name, ImActivation *ret, uint32_t *ret_n_param);

/* x [B, gates H]: the input's product with its weights, and the biases. *h and *c [B, H] become
 * those of this step; c NULL unless an LSTM. */
void im_cell_step(ScBuild *b, const ImCell *cell, const ImCellWeights *w, ScVal x, ScVal *h,
                  ScVal *c);

#endif
