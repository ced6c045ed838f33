/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum: operands are contracted one after the other, from the left. Each contraction is a product
 * of matrices between the labels that both have and keep (a batch), those that one has alone, and
 * those that are added up; where nothing is added up, or of integers, a broadcast product. */
#include "frontend/frontend_priv.h"

#include <ctype.h>
#include <string.h>

/* A label is a letter, or, for the axes of an ellipsis, this plus the number from the last one. */
#define ELLIPSIS 128

typedef struct Operand {
    ScVal v;
    uint32_t rank;
    uint8_t label[SCRT_MAX_RANK];
    const ScTerm *dim[SCRT_MAX_RANK];
} Operand;

typedef struct Labels { /* which labels are among them */
    bool has[256];
} Labels;

static bool is_label(char c)
{
    return isalpha((unsigned char)c);
}

/* Reads the labels of one operand, or of the result, up to `,` or `-` or the end; an ellipsis
 * stands for n_dots axes. False after sc_fail. */
static bool read_labels(const ImNode *n, const char **p, uint32_t n_dots, uint8_t *ret,
                        uint32_t *ret_n)
{
    uint32_t k = 0;
    bool dots = false;
    for (; **p && **p != ',' && **p != '-'; ++*p) {
        bool now = !strncmp(*p, "...", 3) && !dots;
        if (**p == ' ')
            continue;
        if ((!now && !is_label(**p)) || k + (now ? n_dots : 1) > SCRT_MAX_RANK)
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"equation\" at \"%s\"", *p);
        if (now) {
            for (uint32_t i = n_dots; i-- > 0;)
                ret[k++] = (uint8_t)(ELLIPSIS + i);
            *p += 2;
            dots = true;
        } else {
            ret[k++] = (uint8_t)**p;
        }
    }
    *ret_n = k;
    return true;
}

/* How many axes the ellipsis of the operand at p stands for. */
static uint32_t dots_of(const char *p, uint32_t rank)
{
    uint32_t letters = 0;
    for (; *p && *p != ',' && *p != '-'; p++)
        letters += is_label(*p);
    return rank > letters ? rank - letters : 0;
}

/* Axes that have the same label become one, their diagonal: side by side, they are an axis of d^2
 * elements, of which every (d + 1)th is taken. */
static bool diagonal(const ImNode *n, Operand *o)
{
    ScCtx *cx = n->im->cx;
    for (uint32_t i = 0; i < o->rank; i++)
        for (uint32_t j = i + 1; j < o->rank; j++) {
            int64_t d, perm[SCRT_MAX_RANK], step, axis = i;
            const ScTerm *dim[SCRT_MAX_RANK], *zero = sc_term(cx, 0);
            const ScTerm *end = sc_term(cx, INT64_MAX);
            uint32_t k = 0;
            if (o->label[i] != o->label[j])
                continue;
            if (!im_require(n, SC_GUARD_EQUAL, o->dim[i], o->dim[j], "extents of a diagonal") ||
                !im_number_of(n, o->dim[i]->kind == SC_T_CONST ? o->dim[i] : o->dim[j],
                              "the extent of a diagonal", &d))
                return false;
            if (d > INT32_MAX)
                return sc_fail(cx, n->loc, SC_E_LIMIT, "a diagonal of %lld", (long long)d);
            for (uint32_t a = 0; a < o->rank; a++)
                if (a != j) {
                    perm[k++] = a;
                    if (a == i)
                        perm[k++] = j;
                }
            ScVal v = im_transpose(n, o->v, o->rank, perm);
            memmove(&o->label[j], &o->label[j + 1], o->rank - j - 1);
            memmove(&o->dim[j], &o->dim[j + 1], (o->rank - j - 1) * sizeof *o->dim);
            memcpy(dim, o->dim, --o->rank * sizeof *dim);
            dim[i] = sc_term(cx, d * d);
            v = im_reshape(n, v, o->rank, dim);
            step = d + 1;
            o->v = sc_op_at(&n->im->b, slice,
                            SC_ATTRS(SC_TERMS(1, &zero), SC_TERMS(1, &end), SC_INTS(1, &axis),
                                     SC_INTS(1, &step)),
                            v);
            j--;
        }
    return o->v != SC_POISON;
}

/* Sums over the labels that nobody needs. */
static void drop(const ImNode *n, Operand *o, const Labels *needed, const Labels *other)
{
    int64_t axis[SCRT_MAX_RANK];
    uint32_t n_axis = 0, rank = 0;
    for (uint32_t i = 0; i < o->rank; i++)
        if (!needed->has[o->label[i]] && !(other && other->has[o->label[i]])) {
            axis[n_axis++] = i;
        } else {
            o->label[rank] = o->label[i];
            o->dim[rank++] = o->dim[i];
        }
    o->rank = rank;
    if (n_axis > 0)
        o->v = im_reduce(n, &sc_op_reduce_sum, o->v, n_axis, axis, false);
}

/* The axes of o with the labels in the given order; what it has not is an extent of 1. */
static ScVal arranged(const ImNode *n, const Operand *o, uint32_t rank, const uint8_t *label)
{
    int64_t perm[SCRT_MAX_RANK];
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t k = 0;
    for (uint32_t i = 0; i < rank; i++) {
        dim[i] = sc_term(n->im->cx, 1);
        for (uint32_t a = 0; a < o->rank; a++)
            if (o->label[a] == label[i]) {
                perm[k++] = a;
                dim[i] = o->dim[a];
            }
    }
    return im_reshape(n, im_transpose(n, o->v, o->rank, perm), rank, dim);
}

/* The labels of a contraction in groups: batch, a's own, b's own, added up. */
typedef struct Groups {
    uint8_t label[4][SCRT_MAX_RANK];
    uint32_t n[4];
} Groups;
enum { BATCH, LEFT, RIGHT, SUMMED };

static Groups group(const Operand *a, const Operand *b, const Labels *needed)
{
    Groups g = {0};
    Labels in_b = {0}, in_a = {0};
    for (uint32_t i = 0; i < b->rank; i++)
        in_b.has[b->label[i]] = true;
    for (uint32_t i = 0; i < a->rank; i++) {
        uint8_t l = a->label[i];
        uint32_t k = !in_b.has[l] ? LEFT : needed->has[l] ? BATCH : SUMMED;
        g.label[k][g.n[k]++] = l;
        in_a.has[l] = true;
    }
    for (uint32_t i = 0; i < b->rank; i++)
        if (!in_a.has[b->label[i]])
            g.label[RIGHT][g.n[RIGHT]++] = b->label[i];
    return g;
}

static const ScTerm *extent(ScCtx *cx, const Operand *a, const Operand *b, uint8_t label)
{
    const ScTerm *d = NULL;
    for (uint32_t i = 0; i < a->rank; i++)
        d = a->label[i] == label ? a->dim[i] : d;
    for (uint32_t i = 0; i < b->rank; i++)
        if (b->label[i] == label)
            d = d && d != b->dim[i] ? sc_term_bcast(cx, d, b->dim[i]) : b->dim[i];
    return d;
}

/* o as [batch.., first, second] with the labels of two groups joined into an axis each. */
static ScVal as_matrices(const ImNode *n, const Operand *o, const Groups *g, int first, int second)
{
    ScCtx *cx = n->im->cx;
    uint8_t label[SCRT_MAX_RANK];
    const ScTerm *dim[SCRT_MAX_RANK + 2];
    uint32_t rank = 0, out = 0;
    const int order[] = {BATCH, first, second};
    for (uint32_t k = 0; k < 3; k++) {
        const ScTerm *joined = sc_term(cx, 1);
        for (uint32_t i = 0; i < g->n[order[k]]; i++) {
            uint8_t l = g->label[order[k]][i];
            label[rank++] = l;
            const ScTerm *d = extent(cx, o, &(Operand){0}, l);
            if (k == 0)
                dim[out++] = d;
            else
                joined = sc_term_mul(cx, joined, d);
        }
        if (k > 0)
            dim[out++] = joined;
    }
    return im_reshape(n, arranged(n, o, rank, label), out, dim);
}

/* The product of a and b with only the labels that are needed. */
static bool contract(const ImNode *n, Operand *a, const Operand *b, const Labels *needed)
{
    ScCtx *cx = n->im->cx;
    Groups g = group(a, b, needed);
    Operand y = {0};
    for (int k = BATCH; k <= RIGHT; k++)
        for (uint32_t i = 0; i < g.n[k] && y.rank < SCRT_MAX_RANK; i++) {
            y.dim[y.rank] = extent(cx, a, b, g.label[k][i]);
            y.label[y.rank++] = g.label[k][i];
        }
    if (g.n[BATCH] + g.n[LEFT] + g.n[RIGHT] + g.n[SUMMED] + 2 > SCRT_MAX_RANK)
        return sc_fail(cx, n->loc, SC_E_LIMIT, "more than %d labels in one product",
                       SCRT_MAX_RANK - 2);
    bool floats = scrt_dtype_is_float(im_type(n, 0)->dtype);
    if (g.n[SUMMED] > 0 && floats) {
        ScVal l = as_matrices(n, a, &g, LEFT, SUMMED), r = as_matrices(n, b, &g, SUMMED, RIGHT);
        y.v = im_reshape(n, sc_op(&n->im->b, matmul, l, r), y.rank, y.dim);
    } else {
        uint8_t all[SCRT_MAX_RANK];
        int64_t axis[SCRT_MAX_RANK];
        memcpy(all, y.label, y.rank);
        memcpy(all + y.rank, g.label[SUMMED], g.n[SUMMED]);
        uint32_t rank = y.rank + g.n[SUMMED];
        for (uint32_t i = 0; i < g.n[SUMMED]; i++)
            axis[i] = y.rank + i;
        y.v = sc_op(&n->im->b, mul, arranged(n, a, rank, all), arranged(n, b, rank, all));
        if (g.n[SUMMED] > 0)
            y.v = im_reduce(n, &sc_op_reduce_sum, y.v, g.n[SUMMED], axis, false);
    }
    *a = y;
    return y.v != SC_POISON;
}

/* The result's labels where the equation does not say them: the ellipsis, then the letters that
 * stand once, in their order. */
static uint32_t implicit(const Operand *in, uint32_t n_in, uint32_t n_dots, uint8_t *ret)
{
    uint32_t count[256] = {0}, k = 0;
    for (uint32_t i = 0; i < n_in; i++)
        for (uint32_t a = 0; a < in[i].rank; a++)
            count[in[i].label[a]]++;
    for (uint32_t i = n_dots; i-- > 0;)
        ret[k++] = (uint8_t)(ELLIPSIS + i);
    for (uint32_t c = 0; c < ELLIPSIS && k < SCRT_MAX_RANK; c++)
        if (count[c] == 1)
            ret[k++] = (uint8_t)c;
    return k;
}

/* Reads the equation: the operands' labels, and the result's. */
static bool read_equation(const ImNode *n, Operand *in, uint8_t *out, uint32_t *ret_n_out)
{
    bool ok = true;
    uint32_t most = 0;
    const char *p = im_str(n, "equation", "", &ok);
    for (uint32_t i = 0; ok && i < n->n_in; i++) {
        const ScType *t = im_type(n, i);
        uint32_t dots = dots_of(p, t->rank);
        in[i].v = im_in(n, i);
        im_dims(t, in[i].dim);
        if (!read_labels(n, &p, dots, in[i].label, &in[i].rank))
            return false;
        most = dots > most ? dots : most;
        if (in[i].rank != t->rank || *p == (i + 1 < n->n_in ? '-' : ','))
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE,
                           "\"equation\" has %u labels for operand %u of rank %u", in[i].rank, i,
                           t->rank);
        p += *p == ',';
    }
    if (ok && !strncmp(p, "->", 2)) {
        p += 2;
        return read_labels(n, &p, most, out, ret_n_out);
    }
    *ret_n_out = implicit(in, n->n_in, most, out);
    return ok;
}

static bool einsum(const ImNode *n, ScVal *ret_out)
{
    ScCtx *cx = n->im->cx;
    uint8_t out[SCRT_MAX_RANK];
    uint32_t n_out = 0;
    if (!im_arity(n, 1, SC_MAX_IN) || !IM_ONLY(n, "equation"))
        return false;
    Operand *in = sc_array(sc_ctx_arena(cx), Operand, n->n_in);
    if (!read_equation(n, in, out, &n_out))
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!diagonal(n, &in[i]))
            return false;
    for (uint32_t i = 0; i < n->n_in; i++) {
        Labels needed = {0}, next = {0};
        for (uint32_t k = 0; k < n_out; k++)
            needed.has[out[k]] = true;
        for (uint32_t j = i + 1; j < n->n_in; j++)
            for (uint32_t k = 0; k < in[j].rank; k++)
                needed.has[in[j].label[k]] = true;
        for (uint32_t k = 0; i > 0 && k < in[0].rank; k++)
            next.has[in[0].label[k]] = true;
        drop(n, &in[i], &needed, i ? &next : NULL);
        if (i > 0 && !contract(n, &in[0], &in[i], &needed))
            return false;
    }
    Labels have = {0};
    for (uint32_t k = 0; k < in[0].rank; k++)
        have.has[in[0].label[k]] = true;
    for (uint32_t k = 0; k < n_out; k++)
        if (!have.has[out[k]])
            return sc_fail(cx, n->loc, SC_E_ATTRIBUTE, "\"equation\": no operand has label %u", k);
    return in[0].v != SC_POISON && im_answer(arranged(n, &in[0], n_out, out), ret_out);
}

const ImAdapter im_einsum_adapters[] = {
    {"", "Einsum", 12, 0, einsum, 1},
    {NULL, NULL, 0, 0, NULL, 0},
};
