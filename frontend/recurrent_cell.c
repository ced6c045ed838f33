/* SPDX-License-Identifier: Apache-2.0 */
/* The equations of RNN, GRU and LSTM. A step is one product of the state with its weights and one
 * elementwise kernel: gates are slices of the product. */
#include "frontend/recurrent.h"

#include <strings.h>

uint32_t im_cell_gates(ImCellKind kind)
{
    return kind == IM_LSTM ? 4 : kind == IM_GRU ? 3 : 1;
}

uint32_t im_cell_activations(ImCellKind kind)
{
    return kind == IM_LSTM ? 3 : kind == IM_GRU ? 2 : 1;
}

/* --- Activations ------------------------------------------------------------------------------ */

typedef struct Known {
    ImActivation f;
    uint32_t n_param;
    ScVal (*build)(ScBuild *b, const ImActivation *f, ScVal x);
} Known;

static ScVal num(ScBuild *b, ScVal x, double v)
{
    return sc_const_scalar(b, sc_built(b, x)->type->dtype, v);
}

static ScVal affine(ScBuild *b, const ImActivation *f, ScVal x)
{
    return sc_op(b, add, sc_op(b, mul, x, num(b, x, f->alpha)), num(b, x, f->beta));
}

static ScVal scaled_tanh(ScBuild *b, const ImActivation *f, ScVal x)
{
    ScVal y = sc_op(b, tanh, sc_op(b, mul, x, num(b, x, f->beta)));
    return sc_op(b, mul, y, num(b, x, f->alpha));
}

#define PLAIN(name)                                                                                \
    static ScVal plain_##name(ScBuild *b, const ImActivation *f, ScVal x)                          \
    {                                                                                              \
        (void)f;                                                                                   \
        return sc_op(b, name, x);                                                                  \
    }
PLAIN(relu)
PLAIN(tanh)
PLAIN(sigmoid)
PLAIN(softsign)
PLAIN(softplus)

#define WITH_ALPHA(name)                                                                           \
    static ScVal alpha_##name(ScBuild *b, const ImActivation *f, ScVal x)                          \
    {                                                                                              \
        return sc_op_at(b, name, SC_ATTRS(SC_FLOAT(f->alpha)), x);                                 \
    }
WITH_ALPHA(leaky_relu)
WITH_ALPHA(thresholded_relu)
WITH_ALPHA(elu)

static ScVal hard_sigmoid(ScBuild *b, const ImActivation *f, ScVal x)
{
    return sc_op_at(b, hard_sigmoid, SC_ATTRS(SC_FLOAT(f->alpha), SC_FLOAT(f->beta)), x);
}

static const Known known[] = {
    {{"Relu", 0, 0}, 0, plain_relu},
    {{"Tanh", 0, 0}, 0, plain_tanh},
    {{"Sigmoid", 0, 0}, 0, plain_sigmoid},
    {{"Softsign", 0, 0}, 0, plain_softsign},
    {{"Softplus", 0, 0}, 0, plain_softplus},
    {{"LeakyRelu", 0.01, 0}, 1, alpha_leaky_relu},
    {{"ThresholdedRelu", 1, 0}, 1, alpha_thresholded_relu},
    {{"Elu", 1, 0}, 1, alpha_elu},
    {{"Affine", 1, 0}, 2, affine},
    {{"ScaledTanh", 1, 1}, 2, scaled_tanh},
    {{"HardSigmoid", 0.2, 0.5}, 2, hard_sigmoid},
};

static const Known *find(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(known[i].f.name, name))
            return &known[i];
    return NULL;
}

bool im_activation(const char *name, ImActivation *ret, uint32_t *ret_n_param)
{
    const Known *k = find(name);
    if (!k)
        return false;
    *ret = k->f;
    *ret_n_param = k->n_param;
    return true;
}

/* Activation i of x. */
static ScVal act(ScBuild *b, const ImCell *cell, uint32_t i, ScVal x)
{
    return find(cell->f[i].name)->build(b, &cell->f[i], x);
}

/* The same of x clipped: gates and candidates. What a cell becomes in the end is not, as ONNX
 * Runtime has it. */
static ScVal gate_act(ScBuild *b, const ImCell *cell, uint32_t i, ScVal x)
{
    if (cell->clip > 0)
        x = sc_op(b, clip, x, num(b, x, -cell->clip), num(b, x, cell->clip));
    return act(b, cell, i, x);
}

/* --- Cells ------------------------------------------------------------------------------------ */

/* Gates first .. first + n - 1 of x [.., gates H]. */
static ScVal gates(ScBuild *b, const ImCell *cell, ScVal x, int64_t first, int64_t n)
{
    const ScTerm *from = sc_term_scale(b->cx, cell->hidden, first);
    const ScTerm *to = sc_term_scale(b->cx, cell->hidden, first + n);
    const int64_t last = -1;
    return sc_op_at(b, slice, SC_ATTRS(SC_TERMS(1, &from), SC_TERMS(1, &to), SC_INTS(1, &last)), x);
}

/* Rows of gates of r [gates H, H]. */
static ScVal rows(ScBuild *b, const ImCell *cell, ScVal r, int64_t first, int64_t n)
{
    const ScTerm *from = sc_term_scale(b->cx, cell->hidden, first);
    const ScTerm *to = sc_term_scale(b->cx, cell->hidden, first + n);
    const int64_t axis = 0;
    return sc_op_at(b, slice, SC_ATTRS(SC_TERMS(1, &from), SC_TERMS(1, &to), SC_INTS(1, &axis)), r);
}

/* h rᵀ + c; c may be absent. */
static ScVal product(ScBuild *b, ScVal h, ScVal r, ScVal c)
{
    ScVal in[] = {h, r, c};
    return sc_node1(b, &sc_op_gemm, SC_ATTRS(SC_INT(0), SC_INT(1)), c == SC_ABSENT ? 2 : 3, in);
}

static void rnn(ScBuild *b, const ImCell *cell, const ImCellWeights *w, ScVal x, ScVal *h)
{
    *h = gate_act(b, cell, 0, product(b, *h, w->r, x));
}

/* Gates: update, reset, candidate. */
static void gru(ScBuild *b, const ImCell *cell, const ImCellWeights *w, ScVal x, ScVal *h)
{
    ScVal mine, z, r;
    if (cell->linear) {
        ScVal all = product(b, *h, w->r, SC_ABSENT);
        ScVal both = sc_op(b, add, gates(b, cell, all, 0, 2), gates(b, cell, x, 0, 2));
        both = gate_act(b, cell, 0, both);
        z = gates(b, cell, both, 0, 1);
        r = gates(b, cell, both, 1, 1);
        mine = gates(b, cell, all, 2, 1);
        if (w->bias != SC_ABSENT)
            mine = sc_op(b, add, mine, w->bias);
        mine = sc_op(b, add, sc_op(b, mul, r, mine), gates(b, cell, x, 2, 1));
    } else {
        ScVal both = product(b, *h, rows(b, cell, w->r, 0, 2), gates(b, cell, x, 0, 2));
        both = gate_act(b, cell, 0, both);
        z = gates(b, cell, both, 0, 1);
        r = gates(b, cell, both, 1, 1);
        mine = product(b, sc_op(b, mul, r, *h), rows(b, cell, w->r, 2, 1), gates(b, cell, x, 2, 1));
    }
    mine = gate_act(b, cell, 1, mine);
    ScVal rest = sc_op(b, sub, num(b, z, 1), z);
    *h = sc_op(b, add, sc_op(b, mul, rest, mine), sc_op(b, mul, z, *h));
}

/* Gates: input, output, forget, candidate. */
static void lstm(ScBuild *b, const ImCell *cell, const ImCellWeights *w, ScVal x, ScVal *h,
                 ScVal *c)
{
    ScVal all = product(b, *h, w->r, x), gate[4];
    bool peeps = w->peep != SC_ABSENT;
    for (uint32_t i = 0; i < 4; i++)
        gate[i] = gates(b, cell, all, i, 1);
    for (uint32_t i = 0; peeps && i < 3; i += 2)
        gate[i] = sc_op(b, add, gate[i], sc_op(b, mul, gates(b, cell, w->peep, i, 1), *c));
    ScVal in = gate_act(b, cell, 0, gate[0]);
    ScVal keep = cell->coupled ? sc_op(b, sub, num(b, in, 1), in) : gate_act(b, cell, 0, gate[2]);
    *c = sc_op(b, add, sc_op(b, mul, keep, *c), sc_op(b, mul, in, gate_act(b, cell, 1, gate[3])));
    if (peeps)
        gate[1] = sc_op(b, add, gate[1], sc_op(b, mul, gates(b, cell, w->peep, 1, 1), *c));
    *h = sc_op(b, mul, gate_act(b, cell, 0, gate[1]), act(b, cell, 2, *c));
}

void im_cell_step(ScBuild *b, const ImCell *cell, const ImCellWeights *w, ScVal x, ScVal *h,
                  ScVal *c)
{
    if (cell->kind == IM_RNN)
        rnn(b, cell, w, x, h);
    else if (cell->kind == IM_GRU)
        gru(b, cell, w, x, h);
    else
        lstm(b, cell, w, x, h, c);
}
