/* SPDX-License-Identifier: Apache-2.0 */
/* RNN, GRU and LSTM: the product of all time steps' inputs with their weights at once, then step
 * after step what recurrent_cell.c says. Names of extents: T steps, B batch, H hidden, D
 * directions. */
#include "frontend/recurrent.h"

#include <string.h>

enum { X, W, R, BIAS, LENS, INITIAL_H, INITIAL_C, PEEP };
enum { Y, Y_H, Y_C };
#define MAX_STEPS 4 /* that are written out: a loop's step costs less than compiling some again */

typedef struct Recurrent {
    const ImNode *n;
    ImCell cell[2];                      /* of each direction */
    const ScTerm *steps, *batch, *gates; /* T, B, gates H */
    uint32_t directions;
    bool backward; /* the first direction is */
    bool batch_first;
    ScVal in[8]; /* the operands, of the extents above; absent ones */
    ScVal lens;  /* i64 [B, 1], or absent */
} Recurrent;

/* --- What the attributes say ------------------------------------------------------------------ */

/* Parameters are handed to those activations that take some, in their order. */
static bool activations(const ImNode *n, Recurrent *r)
{
    static const char *const plain[][3] = {[IM_RNN] = {"Tanh"},
                                           [IM_GRU] = {"Sigmoid", "Tanh"},
                                           [IM_LSTM] = {"Sigmoid", "Tanh", "Tanh"}};
    const Onnxpb__Attribute *names = im_attr(n, "activations"),
                            *alpha = im_attr(n, "activation_alpha");
    const Onnxpb__Attribute *beta = im_attr(n, "activation_beta");
    uint32_t each = im_cell_activations(r->cell[0].kind), n_alpha = 0, n_beta = 0, n_param;
    if (names && names->n_strings != (size_t)each * r->directions)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"activations\" has %zu entries, not %u",
                       names->n_strings, each * r->directions);
    for (uint32_t i = 0; i < each * r->directions; i++) {
        ImActivation *f = &r->cell[i / each].f[i % each];
        const char *name = plain[r->cell[0].kind][i % each];
        if (names)
            name =
                sc_intern_n(n->im->cx, (const char *)names->strings[i].data, names->strings[i].len);
        if (!im_activation(name, f, &n_param))
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "activation \"%s\" is not known",
                           name);
        if (n_param > 0 && alpha && n_alpha < alpha->n_floats)
            f->alpha = (double)alpha->floats[n_alpha++];
        if (n_param > 1 && beta && n_beta < beta->n_floats)
            f->beta = (double)beta->floats[n_beta++];
    }
    return true;
}

static bool attributes(const ImNode *n, Recurrent *r)
{
    bool ok = true;
    const char *direction = im_str(n, "direction", "forward", &ok);
    int64_t hidden = im_int(n, "hidden_size", 0, &ok), layout = im_int(n, "layout", 0, &ok);
    int64_t coupled = im_int(n, "input_forget", 0, &ok);
    int64_t linear = im_int(n, "linear_before_reset", 0, &ok), known;
    double clip = im_float(n, "clip", 0, &ok);
    ImCellKind kind = r->cell[0].kind;
    if (!ok || !IM_ONLY(n, "activation_alpha", "activation_beta", "activations", "clip",
                        "direction", "hidden_size", n->opset < 7 ? "output_sequence" : "layout",
                        kind == IM_LSTM  ? "input_forget"
                        : kind == IM_GRU ? "linear_before_reset"
                                         : NULL))
        return false;
    bool both = !strcmp(direction, "bidirectional");
    r->backward = !strcmp(direction, "reverse");
    if (!both && !r->backward && strcmp(direction, "forward"))
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"direction\" is \"%s\"", direction);
    if (clip < 0 || hidden < 0 || layout < 0 || layout > 1)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE,
                       "\"clip\" is %g, \"hidden_size\" %lld, \"layout\" %lld", clip,
                       (long long)hidden, (long long)layout);
    r->directions = both ? 2 : 1;
    r->batch_first = layout;
    const ScType *w = im_type(n, R);
    if (w->rank != 3 || im_type(n, X)->rank != 3 || im_type(n, W)->rank != 3)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "X, W and R must have rank 3");
    for (uint32_t d = 0; d < 2; d++)
        r->cell[d] = (ImCell){.kind = kind,
                              .t = im_type(n, X)->dtype,
                              .hidden = hidden ? sc_term(n->im->cx, hidden) : w->dim[2],
                              .clip = clip,
                              .coupled = coupled != 0,
                              .linear = linear != 0};
    if (hidden && sc_term_const(w->dim[2], &known) && known != hidden)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"hidden_size\" is %lld, R has %lld",
                       (long long)hidden, (long long)known);
    return activations(n, r);
}

/* --- What the operands must be ---------------------------------------------------------------- */

/* Operand i has these extents, or is seen with them where only a run tells. */
static bool has_shape(Recurrent *r, uint32_t i, uint32_t rank, const ScTerm *const *dim)
{
    const ImNode *n = r->n;
    static const char *const what[] = {"X",         "W",         "R", "B", "sequence_lens",
                                       "initial_h", "initial_c", "P"};
    const ScType *t = im_type(n, i);
    r->in[i] = SC_ABSENT;
    if (!im_has(n, i))
        return true;
    if (t->rank != rank)
        return sc_fail(n->im->cx, n->loc, SC_E_RANK, "%s has rank %u, not %u", what[i], t->rank,
                       rank);
    for (uint32_t d = 0; d < rank; d++)
        if (!im_require(n, SC_GUARD_EQUAL, t->dim[d], dim[d], what[i]))
            return false;
    r->in[i] = im_reshape(n, im_in(n, i), rank, dim);
    return true;
}

/* The number among an extent and the same one of operand i, where one is a number. */
static const ScTerm *agreed(const ImNode *n, const ScTerm *t, uint32_t i, uint32_t axis)
{
    return im_has(n, i) && axis < im_type(n, i)->rank ? sc_unified(t, im_type(n, i)->dim[axis]) : t;
}

static bool shapes(const ImNode *n, Recurrent *r)
{
    ScCtx *cx = n->im->cx;
    const ScType *given = im_type(n, X);
    const ScTerm *d = sc_term(cx, r->directions), *h = r->cell[0].hidden;
    const uint32_t of_batch = r->batch_first ? 0 : 1;
    h = agreed(n, agreed(n, h, INITIAL_H, 2), INITIAL_C, 2);
    r->cell[0].hidden = r->cell[1].hidden = h;
    r->steps = given->dim[1 - of_batch];
    r->batch = agreed(n, given->dim[of_batch], LENS, 0);
    r->batch = agreed(n, agreed(n, r->batch, INITIAL_H, of_batch), INITIAL_C, of_batch);
    r->gates = sc_term_scale(cx, h, im_cell_gates(r->cell[0].kind));
    const ScTerm *in = agreed(n, given->dim[2], W, 2);
    const ScTerm *x[] = {of_batch ? r->steps : r->batch, of_batch ? r->batch : r->steps, in};
    const ScTerm *w[] = {d, r->gates, in}, *rec[] = {d, r->gates, h};
    const ScTerm *bias[] = {d, sc_term_scale(cx, r->gates, 2)},
                 *peep[] = {d, sc_term_scale(cx, h, 3)};
    const ScTerm *state[] = {r->batch_first ? r->batch : d, r->batch_first ? d : r->batch, h};
    return has_shape(r, X, 3, x) && has_shape(r, W, 3, w) && has_shape(r, R, 3, rec) &&
           has_shape(r, BIAS, 2, bias) && has_shape(r, LENS, 1, &r->batch) &&
           has_shape(r, INITIAL_H, 3, state) && has_shape(r, INITIAL_C, 3, state) &&
           has_shape(r, PEEP, 2, peep);
}

/* Lengths that are known to be all steps say nothing. */
static void lengths(const ImNode *n, Recurrent *r)
{
    ScrtTensor t = {0};
    int64_t steps;
    const ScTerm *column[] = {r->batch, sc_term(n->im->cx, 1)};
    r->lens = SC_ABSENT;
    if (r->in[LENS] == SC_ABSENT)
        return;
    bool all = sc_term_const(r->steps, &steps) && im_known(n, r->in[LENS], &t);
    for (int64_t i = 0; all && i < scrt_count(&t); i++)
        all = scrt_load_int((ScrtDtype)t.dtype, t.data, (size_t)i) >= steps;
    scrt_free(t.data);
    if (!all)
        r->lens = im_reshape(n, im_cast(n, r->in[LENS], SCRT_I64), 2, column);
}

/* --- One direction ---------------------------------------------------------------------------- */

/* Part d along an axis, without it. */
static ScVal part(const ImNode *n, ScVal v, uint32_t axis, int64_t d)
{
    ScCtx *cx = n->im->cx;
    const ScTerm *dim[SCRT_MAX_RANK];
    if (v == SC_ABSENT || v == SC_POISON)
        return v;
    const ScType *t = im_type_of(n, v);
    for (uint32_t i = 0; i + 1 < t->rank; i++)
        dim[i] = t->dim[i + (i >= axis)];
    ScVal one =
        sc_term_is(t->dim[axis], 1) ? v : im_slice(n, v, axis, sc_term(cx, d), sc_term(cx, d + 1));
    return im_reshape(n, one, t->rank - 1, dim);
}

/* The state before the first step: [B, H]. */
static ScVal initial(const Recurrent *r, uint32_t operand, uint32_t d)
{
    const ScTerm *dim[] = {r->batch, r->cell[d].hidden};
    if (r->in[operand] == SC_ABSENT)
        return im_expand(r->n, im_scalar(r->n, r->cell[d].t, 0), 2, dim);
    return part(r->n, r->in[operand], r->batch_first ? 1 : 0, d);
}

/* The biases that can be added before the steps, [gates H], and the one that cannot. */
static ScVal biases(const Recurrent *r, uint32_t d, ImCellWeights *w)
{
    const ImNode *n = r->n;
    ScBuild *b = &n->im->b;
    ScVal both = part(n, r->in[BIAS], 0, d);
    const ScTerm *h = r->cell[d].hidden, *zero = sc_term(n->im->cx, 0);
    if (both == SC_ABSENT)
        return both;
    ScVal of_x = im_slice(n, both, 0, zero, r->gates), of_h = im_slice(n, both, 0, r->gates, NULL);
    if (r->cell[d].kind == IM_GRU && r->cell[d].linear) {
        const ScTerm *two = sc_term_scale(n->im->cx, h, 2);
        w->bias = im_slice(n, of_h, 0, two, NULL);
        ScVal none = im_expand(n, im_scalar(n, r->cell[d].t, 0), 1, &h);
        of_h = im_concat(n, 0, 2, (ScVal[]){im_slice(n, of_h, 0, zero, two), none});
    }
    return sc_op(b, add, of_x, of_h);
}

/* The product of all steps' inputs with their weights, with the biases: [T, B, gates H]. */
static ScVal inputs(const Recurrent *r, uint32_t d, ScVal x, ImCellWeights *w)
{
    static const int64_t steps_first[] = {1, 0, 2};
    const ImNode *n = r->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *flat[] = {sc_term_mul(cx, r->steps, r->batch), im_type_of(n, x)->dim[2]};
    const ScTerm *to[] = {r->steps, r->batch, r->gates};
    x = r->batch_first ? im_transpose(n, x, 3, steps_first) : x;
    ScVal bias = biases(r, d, w), in[] = {im_reshape(n, x, 2, flat), part(n, r->in[W], 0, d), bias};
    ScVal y = sc_node1(&n->im->b, &sc_op_gemm, SC_ATTRS(SC_INT(0), SC_INT(1)),
                       bias == SC_ABSENT ? 2 : 3, in);
    return im_reshape(n, y, 3, to);
}

/* A step's results where it lies within a sequence; what was before elsewhere, and 0. */
static ScVal within(ScBuild *b, ScVal valid, ScVal now, ScVal before)
{
    return valid == SC_ABSENT ? now : sc_op(b, where, valid, now, before);
}

/* Step t of direction d; *h and *c advance, the result is the step's part of Y. */
static ScVal step(const Recurrent *r, ScBuild *b, uint32_t d, const ImCellWeights *w, ScVal x,
                  ScVal valid, ScVal *h, ScVal *c)
{
    ScVal old_h = *h, old_c = *c;
    im_cell_step(b, &r->cell[d], w, x, h, c);
    ScVal y = within(b, valid, *h, sc_const_scalar(b, r->cell[d].t, 0));
    *h = within(b, valid, *h, old_h);
    if (r->cell[d].kind == IM_LSTM)
        *c = within(b, valid, *c, old_c);
    return y;
}

/* Each step written out. Returns Y [T, B, H]. */
static ScVal unrolled(const Recurrent *r, uint32_t d, int64_t steps, ScVal x,
                      const ImCellWeights *w, ScVal *h, ScVal *c)
{
    const ImNode *n = r->n;
    ScBuild *b = &n->im->b;
    const ScTerm *row[] = {sc_term(n->im->cx, 1), r->batch, r->cell[d].hidden};
    ScVal y[MAX_STEPS];
    bool backward = r->backward || d == 1;
    for (int64_t i = 0; i < steps; i++) {
        int64_t t = backward ? steps - 1 - i : i;
        ScVal valid = SC_ABSENT;
        if (r->lens != SC_ABSENT)
            valid = sc_op(b, less, im_number(n, sc_term(n->im->cx, t)), r->lens);
        y[t] = im_reshape(n, step(r, b, d, w, part(n, x, 0, t), valid, h, c), 3, row);
    }
    return im_concat(n, 0, (uint32_t)steps, y);
}

/* --- A loop over the steps -------------------------------------------------------------------- */

#define MAX_DERIVED 64 /* nodes between a constant and what a step reads */

typedef struct Body {
    ScBuild b;
    ScVal outer[16], input[16]; /* [n] what the body reads, and its inputs */
    uint32_t n, n_derived;
    const ImNode *node;
} Body;

/* What depends on nothing but constants is computed within, so that passes find constants there;
 * poison where it does not. */
static ScVal derived(Body *o, ScVal v)
{
    const ScBuild *from = &o->node->im->b;
    const ScNode *n = sc_built_def(from, v);
    ScVal in[SC_MAX_IN], out[SC_MAX_OUT];
    if (n->op->flags & SC_CONST_OP) {
        int64_t dim[SCRT_MAX_RANK];
        const ScType *t = sc_built(from, v)->type;
        return sc_type_const_dims(t, dim)
                   ? sc_const_shaped(&o->b, n->attr[0].blob, t->dtype, t->rank, dim, NULL)
                   : SC_POISON;
    }
    if (n->n_in == 0 || n->n_in > SC_MAX_IN || n->n_out > SC_MAX_OUT || n->op->n_sub ||
        (n->op->flags & (SC_FRESH | SC_BARRIER | SC_BINDS)) || ++o->n_derived > MAX_DERIVED)
        return SC_POISON;
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = n->in[i] == SC_ABSENT ? SC_ABSENT : derived(o, n->in[i]);
        if (in[i] == SC_POISON)
            return SC_POISON;
    }
    sc_node(&o->b, n->op, n->attr, NULL, n->n_in, in, n->n_out, out);
    return out[v - n->first];
}

/* An input of the body for what lies outside. */
static ScVal input(Body *o, ScVal v)
{
    o->outer[o->n] = v;
    return o->input[o->n++] = sc_input(&o->b, "x", sc_built(&o->node->im->b, v)->type, NULL);
}

static ScVal read(Body *o, ScVal v)
{
    if (v == SC_ABSENT)
        return v;
    o->n_derived = 0;
    ScVal known = derived(o, v);
    return known == SC_POISON ? input(o, v) : known;
}

/* Number t as an i64 scalar of the body. */
static ScVal number(Body *o, const ScTerm *t)
{
    return sc_op_at(&o->b, reshape, SC_ATTRS((ScAttr){.kind = SC_A_TERMS}),
                    sc_op_at(&o->b, term, SC_ATTRS(SC_TERMS(1, &t))));
}

/* The body: the turn, the states, then what else a step reads. It goes on, and gives the states of
 * the next turn and its part of Y. */
static ScGraph *body_of(const Recurrent *r, uint32_t d, ScVal x, const ImCellWeights *w, Body *o,
                        const ScVal *state)
{
    ScBuild *b = &o->b;
    ScCtx *cx = r->n->im->cx;
    bool is_lstm = r->cell[d].kind == IM_LSTM;
    sc_build_init(b, cx, "step", NULL);
    sc_build_one_type(b);
    b->at = r->n->loc;
    ScVal t = sc_input(b, "turn", sc_type(cx, SCRT_I64, 0, NULL), NULL), valid = SC_ABSENT;
    ScVal h = input(o, state[0]), c = is_lstm ? input(o, state[1]) : SC_ABSENT;
    ImCellWeights own = {read(o, w->r), read(o, w->bias), read(o, w->peep)};
    ScVal all = input(o, x), lens = read(o, r->lens);
    if (r->backward || d == 1)
        t = sc_op(b, sub, number(o, sc_term_addc(cx, r->steps, -1)), t);
    if (lens != SC_ABSENT)
        valid = sc_op(b, less, t, lens);
    ScVal now = sc_op_at(b, gather, SC_ATTRS(SC_INT(0)), all, t);
    ScVal y = step(r, b, d, &own, now, valid, &h, &c);
    sc_output(b, "on", sc_const_scalar(b, SCRT_BOOL, 1));
    sc_output(b, "h", h);
    if (is_lstm)
        sc_output(b, "c", c);
    sc_output(b, "y", y);
    return sc_build_end(b);
}

/* Returns Y [T, B, H]. */
static ScVal looped(const Recurrent *r, uint32_t d, ScVal x, const ImCellWeights *w, ScVal *h,
                    ScVal *c)
{
    const ImNode *n = r->n;
    ScBuild *b = &n->im->b;
    ScCtx *cx = n->im->cx;
    Body *o = sc_new(sc_ctx_arena(cx), Body);
    bool is_lstm = r->cell[d].kind == IM_LSTM;
    uint32_t n_state = is_lstm ? 2 : 1;
    const ScTerm *names[7], *dim[] = {r->steps, r->batch, r->cell[d].hidden}; /* states have two */
    ScVal in[2 + 16] = {im_number(n, r->steps), sc_const_scalar(b, SCRT_BOOL, 1)}, out[3];
    o->node = n;
    ScGraph *body = body_of(r, d, x, w, o, (const ScVal[]){*h, *c});
    if (!body)
        return SC_POISON;
    for (uint32_t i = 0; i < o->n; i++)
        in[2 + i] = o->outer[i];
    for (uint32_t i = 0; i < 2 * n_state + 3; i++)
        names[i] = sc_term(cx, 0);
    if (r->steps->kind != SC_T_CONST) /* how often it turns may not be seen in its operand */
        names[2 * n_state] = im_fresh_symbol(n->im, im_node_name(n->pb), d);
    if (!sc_node(b, &sc_op_loop, SC_ATTRS(SC_TERMS(2 * n_state + 3, names), SC_INT(n_state)), &body,
                 2 + o->n, in, n_state + 1, out))
        return SC_POISON;
    *h = out[0];
    *c = is_lstm ? out[1] : SC_ABSENT;
    ScVal y = im_reshape(n, out[n_state], 3, dim);
    if (!r->backward && d == 0)
        return y;
    const ScTerm *last = sc_term(cx, -1), *all = sc_term(cx, INT64_MIN);
    const int64_t axis = 0, back = -1;
    return sc_op_at(
        b, slice,
        SC_ATTRS(SC_TERMS(1, &last), SC_TERMS(1, &all), SC_INTS(1, &axis), SC_INTS(1, &back)), y);
}

static bool direction(const Recurrent *r, uint32_t d, ScVal *ret)
{
    const ImNode *n = r->n;
    ImCellWeights w = {part(n, r->in[R], 0, d), SC_ABSENT, part(n, r->in[PEEP], 0, d)};
    ScVal x = inputs(r, d, r->in[X], &w), h = initial(r, INITIAL_H, d), c = SC_ABSENT;
    int64_t steps;
    if (r->cell[d].kind == IM_LSTM)
        c = initial(r, INITIAL_C, d);
    if (x == SC_POISON)
        return false;
    bool few = sc_term_const(r->steps, &steps) && steps <= MAX_STEPS;
    const ScTerm *dim[] = {r->steps, r->batch, r->cell[d].hidden};
    ret[Y] = few && steps == 0 ? im_expand(n, im_scalar(n, r->cell[d].t, 0), 3, dim)
             : few             ? unrolled(r, d, steps, x, &w, &h, &c)
                               : looped(r, d, x, &w, &h, &c);
    ret[Y_H] = h;
    ret[Y_C] = c;
    return ret[Y] != SC_POISON && h != SC_POISON && c != SC_POISON;
}

/* Result i from those of each direction: [T, D, B, H] or [D, B, H], or with the batch first. */
static ScVal joined(const Recurrent *r, uint32_t i, ScVal of[2][3])
{
    static const int64_t all_first[] = {2, 0, 1, 3}, state_first[] = {1, 0, 2};
    const ImNode *n = r->n;
    const ScTerm *one = sc_term(n->im->cx, 1), *h = r->cell[0].hidden;
    const ScTerm *dim[4] = {r->steps, one, r->batch, h};
    uint32_t skip = i == Y ? 0 : 1;
    ScVal v[2];
    for (uint32_t d = 0; d < r->directions; d++)
        v[d] = im_reshape(n, of[d][i], 4 - skip, dim + skip);
    ScVal all = im_concat(n, 1 - skip, r->directions, v);
    if (!r->batch_first)
        return all;
    return im_transpose(n, all, 4 - skip, i == Y ? all_first : state_first);
}

static bool recurrent(const ImNode *n, ImCellKind kind, ScVal *ret_out)
{
    Recurrent r = {.n = n, .cell = {{.kind = kind}}};
    ScVal of[2][3];
    bool ok = true;
    if (!im_arity(n, 3, kind == IM_LSTM ? 8 : 6) || !attributes(n, &r) || !shapes(n, &r))
        return false;
    lengths(n, &r);
    for (uint32_t d = 0; d < r.directions; d++)
        if (!direction(&r, d, of[d]))
            return false;
    for (uint32_t i = 0; i < n->n_out; i++)
        ok = im_answer(joined(&r, i, of), &ret_out[i]) && ok;
    return ok;
}

static bool rnn(const ImNode *n, ScVal *ret_out)
{
    return recurrent(n, IM_RNN, ret_out);
}

static bool gru(const ImNode *n, ScVal *ret_out)
{
    return recurrent(n, IM_GRU, ret_out);
}

static bool lstm(const ImNode *n, ScVal *ret_out)
{
    return recurrent(n, IM_LSTM, ret_out);
}

const ImAdapter im_recurrent_adapters[] = {
    {"", "RNN", 1, 0, rnn, 2},
    {"", "GRU", 1, 0, gru, 2},
    {"", "LSTM", 1, 0, lstm, 3},
    {NULL, NULL, 0, 0, NULL, 0},
};
