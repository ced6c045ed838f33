/* SPDX-License-Identifier: Apache-2.0 */
/* Attention that says otherwise what is attended to: LinearAttention, whose memory of the keys is a
 * matrix that each token changes, and FlexAttention, whose scores and weights graphs of the model
 * rewrite. Names of extents: B batch, T tokens, H heads, K and V the widths of keys and values. */
#include "frontend/control_priv.h"
#include "frontend/sequence.h"

#include <math.h>
#include <string.h>

#define OP(op, ...) sc_op(&n->im->b, op, __VA_ARGS__)

/* --- LinearAttention ------------------------------------------------------------------------- */

enum { QUERY, KEY, VALUE, PAST, DECAY, RATE };
enum { N_READ = 5 }; /* of which a token has its own: all but PAST */

typedef struct Linear {
    const ImNode *n;
    int64_t heads, kv_heads;
    bool decays, corrects; /* the memory fades; what it says of a key already is taken off */
    double scale;
    const ScTerm *batch, *tokens, *key, *value; /* extents; key and value of one head */
    ScrtDtype t;                                /* computed in */
    ScVal read[N_READ]; /* query [B, T, H kv, each, K], then key, value, decay, rate with those
                         * extents that make them columns and rows of the memory */
} Linear;

/* Operand i [B, T, ..] as [B, T, kv_heads, rows, columns]. */
static ScVal apart(const Linear *l, uint32_t i, const ScTerm *heads, const ScTerm *rows,
                   const ScTerm *columns)
{
    const ScTerm *dim[] = {l->batch, l->tokens, heads, rows, columns};
    return im_reshape(l->n, im_cast(l->n, im_in(l->n, i), l->t), 5, dim);
}

static bool extents(Linear *l)
{
    const ImNode *n = l->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *h = sc_term(cx, l->heads), *kv = sc_term(cx, l->kv_heads);
    for (uint32_t i = 0; i < 3; i++)
        if (im_type(n, i)->rank != 3)
            return sc_fail(cx, n->loc, SC_E_RANK, "operand %u has rank %u", i, im_type(n, i)->rank);
    const ScType *q = im_type(n, QUERY), *v = im_type(n, VALUE);
    l->batch = q->dim[0];
    l->tokens = q->dim[1];
    l->key = sc_term_fdiv(cx, q->dim[2], h);
    l->value = sc_term_fdiv(cx, v->dim[2], kv);
    l->t = im_at_least_f32(q->dtype);
    return im_require(n, SC_GUARD_DIVIDES, h, q->dim[2], "heads and the width of all") &&
           im_require(n, SC_GUARD_DIVIDES, kv, v->dim[2], "heads and the width of all");
}

static bool operands(Linear *l)
{
    const ImNode *n = l->n;
    ScCtx *cx = n->im->cx;
    const ScTerm *one = sc_term(cx, 1), *kv = sc_term(cx, l->kv_heads);
    if ((l->decays && !im_has(n, DECAY)) || (l->corrects && !im_has(n, RATE)))
        return sc_fail(cx, n->loc, SC_E_ARITY, "the decay or the rate is missing");
    l->read[0] = apart(l, QUERY, kv, sc_term(cx, l->heads / l->kv_heads), l->key);
    l->read[1] = apart(l, KEY, kv, l->key, one);
    l->read[2] = apart(l, VALUE, kv, one, l->value);
    l->read[3] = l->read[4] = SC_ABSENT;
    if (l->decays) {
        const ScTerm *width = im_type(n, DECAY)->rank == 3 ? im_type(n, DECAY)->dim[2] : one;
        l->read[3] = apart(l, DECAY, kv, sc_term_fdiv(cx, width, kv), one);
    }
    if (l->corrects) {
        const bool all = im_type(n, RATE)->rank == 3 && sc_term_is(im_type(n, RATE)->dim[2], 1);
        l->read[4] = apart(l, RATE, all ? one : kv, one, one);
    }
    for (uint32_t i = 0; i < N_READ; i++)
        if (l->read[i] == SC_POISON)
            return false;
    return true;
}

/* One token: x, its part of what is read; *memory [B, kv_heads, K, V] becomes the next.
 * [B, kv_heads, each, V] */
static ScVal token(const Linear *l, const ScVal *x, ScVal *memory)
{
    static const int64_t turned[] = {0, 1, 3, 2};
    const ImNode *n = l->n;
    ScVal s = *memory, v = x[2];
    if (l->decays)
        s = OP(mul, OP(exp, x[3]), s);
    if (l->corrects)
        v = OP(mul, x[4], OP(sub, v, OP(matmul, im_transpose(n, x[1], 4, turned), s)));
    s = OP(add, s, OP(mul, x[1], v));
    *memory = s;
    return OP(mul, OP(matmul, x[0], s), im_scalar(n, l->t, l->scale));
}

/* The tokens one after the other, as a loop; their results [T, B, kv_heads, each, V]. */
static ScVal tokens(const Linear *l, ScVal *memory)
{
    const ImNode *n = l->n;
    ScBuild *b = &n->im->b;
    ScCtx *cx = n->im->cx;
    ScVal in[3 + N_READ] = {im_number(n, l->tokens), sc_const_scalar(b, SCRT_BOOL, 1), *memory};
    const ScType *outer[N_READ] = {NULL}, *state = im_type_of(n, *memory);
    uint32_t n_in = 3;
    for (uint32_t i = 0; i < N_READ; i++) {
        outer[i] = l->read[i] == SC_ABSENT ? NULL : im_type_of(n, l->read[i]);
        if (outer[i])
            in[n_in++] = l->read[i];
    }
    ImNested x;
    im_nested_begin(n, &x, "token");
    ScVal turn = sc_input(b, "turn", sc_type(cx, SCRT_I64, 0, NULL), NULL);
    ScVal next = sc_input(b, "memory", state, NULL), read[N_READ];
    for (uint32_t i = 0; i < N_READ; i++)
        read[i] = outer[i] ? im_gather(n, sc_input(b, NULL, outer[i], NULL), 1, turn) : SC_ABSENT;
    ScVal y = token(l, read, &next);
    sc_output(b, "on", sc_const_scalar(b, SCRT_BOOL, 1));
    sc_output(b, "memory", next);
    sc_output(b, "y", y);
    ScGraph *body = im_nested_end(n, &x, y != SC_POISON && next != SC_POISON);
    ScVal out[2];
    if (!body || !im_control(n, &sc_op_loop, 1, &body, n_in, in, 2, out))
        return SC_POISON;
    *memory = out[0];
    return out[1];
}

static bool rule(Linear *l)
{
    static const char *const name[] = {"linear", "gated", "delta", "gated_delta"};
    const ImNode *n = l->n;
    bool ok = true;
    uint32_t k = 0;
    const char *given = im_str(n, "update_rule", "gated_delta", &ok);
    while (ok && k < 4 && strcmp(given, name[k]) != 0)
        k++;
    l->decays = k & 1;
    l->corrects = k & 2;
    return ok && (k < 4 ||
                  sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"update_rule\" is \"%s\"", given));
}

static bool linear(const ImNode *n, ScVal *ret_out)
{
    static const int64_t batch_first[] = {1, 0, 2, 3, 4};
    ScCtx *cx = n->im->cx;
    Linear l = {.n = n};
    bool ok = true;
    int64_t width;
    l.heads = im_int(n, "q_num_heads", 0, &ok);
    l.kv_heads = im_int(n, "kv_num_heads", 0, &ok);
    l.scale = im_float(n, "scale", 0, &ok);
    if (!ok || !im_arity(n, 3, 6) || !rule(&l) ||
        !IM_ONLY(n, "chunk_size", "kv_num_heads", "q_num_heads", "scale", "update_rule"))
        return false;
    if (l.kv_heads < 1 || l.heads < 1 || l.heads % l.kv_heads)
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"q_num_heads\" %lld, \"kv_num_heads\" %lld",
                       (long long)l.heads, (long long)l.kv_heads);
    if (!extents(&l) || !operands(&l))
        return false;
    if (l.scale == 0 && (!sc_term_const(l.key, &width) || width < 1))
        return sc_fail(cx, n->loc, SC_E_DYNAMIC, "the width of a head must be known");
    l.scale = l.scale != 0 ? l.scale : 1 / sqrt((double)width);
    const ScTerm *state[] = {l.batch, sc_term(cx, l.kv_heads), l.key, l.value};
    ScVal memory = im_has(n, PAST) ? im_reshape(n, im_cast(n, im_in(n, PAST), l.t), 4, state)
                                   : im_expand(n, im_scalar(n, l.t, 0), 4, state);
    ScVal y = tokens(&l, &memory);
    const ScTerm *dim[] = {l.batch, l.tokens, sc_term_scale(cx, l.value, l.heads)};
    if (y == SC_POISON)
        return false;
    /* token by token, each with its heads and their values beside each other */
    const ScTerm *all[] = {l.tokens, l.batch, state[1], sc_term(cx, l.heads / l.kv_heads), l.value};
    y = im_reshape(n, im_transpose(n, im_reshape(n, y, 5, all), 5, batch_first), 3, dim);
    ScrtDtype to = im_has(n, PAST) ? im_type(n, PAST)->dtype : im_type(n, QUERY)->dtype;
    if (n->n_out > 1)
        ret_out[1] = im_cast(n, memory, to);
    return im_answer(im_cast(n, y, im_type(n, QUERY)->dtype), ret_out);
}

/* --- FlexAttention --------------------------------------------------------------------------- */

/* x through the graph that an attribute holds, if there is one. */
static ScVal modified(const ImNode *n, const char *name, ScVal x)
{
    const Onnxpb__Graph *g = im_attr(n, name) ? im_graph_attr(n, name) : NULL;
    ScVal y;
    if (!im_attr(n, name) || x == SC_POISON)
        return x;
    if (!g || g->n_input != 1 || g->n_output != 1) {
        sc_fail(n->im->cx, n->loc, SC_E_ARITY, "\"%s\" must take one tensor and give one", name);
        return SC_POISON;
    }
    return im_body(n, g, &x, 1, &y) && im_tensors(n, 1, &y) ? y : SC_POISON;
}

/* a [B, H, m, k] by b [B, Hkv, k, n]. */
static ScVal product(const ImNode *n, ScVal a, ScVal b)
{
    const ScType *ta = im_type_of(n, a), *tb = im_type_of(n, b);
    if (a == SC_POISON || b == SC_POISON)
        return SC_POISON;
    if (ta->rank != 4 || tb->rank != 4) {
        sc_fail(n->im->cx, n->loc, SC_E_RANK, "scores or weights of rank %u",
                ta->rank != 4 ? ta->rank : tb->rank);
        return SC_POISON;
    }
    if (ta->dim[1] != tb->dim[1] &&
        !im_require(n, SC_GUARD_DIVIDES, tb->dim[1], ta->dim[1], "heads that share keys"))
        return SC_POISON;
    return im_heads_product(n, a, b, ta->dim[1], tb->dim[1]);
}

static bool flex(const ImNode *n, ScVal *ret_out)
{
    static const int64_t last_two[] = {0, 1, 3, 2};
    ScCtx *cx = n->im->cx;
    bool ok = true;
    double scale = im_float(n, "scale", 0, &ok);
    ScrtDtype own = im_type(n, 0)->dtype;
    ScrtDtype t = (ScrtDtype)im_int(n, "softmax_precision", im_at_least_f32(own), &ok);
    int64_t width;
    if (!ok || !im_arity(n, 3, 3) ||
        !IM_ONLY(n, "prob_mod", "score_mod", "scale", "softmax_precision"))
        return false;
    for (uint32_t i = 0; i < 3; i++)
        if (im_type(n, i)->rank != 4)
            return sc_fail(cx, n->loc, SC_E_RANK, "operand %u has rank %u", i, im_type(n, i)->rank);
    if (!scrt_dtype_is_float(t))
        return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"softmax_precision\" is %d", t);
    if (!im_attr(n, "scale") && (!sc_term_const(im_type(n, 0)->dim[3], &width) || width < 1))
        return sc_fail(cx, n->loc, SC_E_DYNAMIC, "the width of a head must be known");
    scale = im_attr(n, "scale") ? scale : 1 / sqrt((double)width);
    ScVal q = im_cast(n, im_in(n, 0), t), k = im_cast(n, im_in(n, 1), t);
    ScVal s = product(n, q, im_transpose(n, k, 4, last_two));
    s = modified(n, "score_mod", OP(mul, s, im_scalar(n, t, scale)));
    ScVal w =
        im_build(n, &sc_op_softmax, IM_SET({"axis", SC_INT(3)}), IM_IN(s, im_scalar(n, t, 1)));
    w = modified(n, "prob_mod", w);
    return im_answer(im_cast(n, product(n, w, im_cast(n, im_in(n, 2), t)), own), ret_out);
}

const ImAdapter im_linear_adapters[] = {
    {"", "LinearAttention", 27, 0, linear, 2, 0},
    {"ai.onnx.preview", "FlexAttention", 1, 0, flex, 1, 0},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
