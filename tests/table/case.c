/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/table/table.h"

#include "runtime/handles.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *say(const char *fmt, ...)
{
    static char text[2][2048]; /* so that one sentence may hold another */
    static int which;
    char *s = text[which = !which];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s, sizeof text[0], fmt, ap);
    va_end(ap);
    return s;
}

/* --- Drawing --------------------------------------------------------------------------------- */

/* For rows without a domain of their own: inputs of one small shape, some of them broadcast where
 * the row is elementwise; defaults for attributes, an exponent where the row asks for one. */
static uint32_t draw_plain(ScBuild *b, const ScOp *op, bool broadcasts, uint64_t *r, ScVal *ret_out)
{
    const ScSchema *s = sc_schema(b->cx, op);
    ScVal in[SC_MAX_IN + 2];
    ScAttr attr[SC_MAX_ATTR] = {0};
    const ScTerm *to = sc_term(b->cx, sct_between(r, -5, 5));
    int64_t shape[3], dims[3];
    uint32_t rank = (uint32_t)sct_between(r, 1, 3), n_in = s->n_in;
    for (uint32_t d = 0; d < rank; d++)
        shape[d] = sct_between(r, 1, 5);
    if (s->in_repeats)
        n_in = s->n_in - 1 + (uint32_t)sct_between(r, 1, 3);
    else if (n_in > s->min_in)
        n_in = (uint32_t)sct_between(r, s->min_in, s->n_in);
    for (uint32_t i = 0; i < n_in; i++) {
        const ScOperand *o = &s->in[i < s->n_in ? i : s->n_in - 1];
        for (uint32_t d = 0; d < rank; d++)
            dims[d] = broadcasts && n_in > 1 && sct_between(r, 0, 4) == 0 ? 1 : shape[d];
        const ScTerm *e = op->flags & SC_REBALANCES ? sc_term(b->cx, sct_between(r, -5, 5)) : NULL;
        in[i] = sc_input(b, o->name, sc_type_c(b->cx, sct_dtype_for(o->cls), rank, dims), e);
    }
    for (uint32_t i = 0; i < op->n_attr; i++)
        if (op->attr[i].text == SC_TEXT_OPERAND)
            attr[i] = SC_TERMS(1, &to);
    sc_node(b, op, attr, NULL, n_in, in, s->n_out, ret_out);
    if (op->flags & SC_REBALANCES) {
        sc_set_exp(b, ret_out[0], to);
        sc_build_flags(b, SC_G_SCALED);
    }
    return s->n_out;
}

/* The node is looked for by the row's name, so that a copy of a row stands in for it. */
static ScVal find_node(const ScGraph *g, const ScOp *op)
{
    for (uint32_t i = g->n_node; i-- > 0;)
        if (strcmp(g->node[i].op->name, op->name) == 0)
            return i;
    return UINT32_MAX;
}

static ScGraph *draw_graph(Case *c, bool broadcasts, uint64_t *r)
{
    ScBuild b;
    ScVal out[SC_MAX_OUT];
    const ScOp *op = c->op;
    sc_build_init(&b, c->cx, "case", NULL);
    uint32_t n =
        op->domain.make ? op->domain.make(&b, r, out) : draw_plain(&b, op, broadcasts, r, out);
    for (uint32_t i = 0; i < n; i++)
        sc_output(&b, NULL, out[i]);
    return sc_build_end(&b);
}

static const char *draw(Case *c, uint64_t *r)
{
    bool may_broadcast = c->op->lower.cls == SC_MAP && !c->op->domain.make;
    c->drawn = draw_graph(c, may_broadcast, r);
    if (!c->drawn && may_broadcast) { /* some rows broadcast one way only */
        sc_clear_diags(c->cx);
        c->drawn = draw_graph(c, false, r);
    }
    if (!c->drawn)
        return say("%s: its domain makes no legal node: %s", c->op->name, sct_messages(c->cx));
    return find_node(c->drawn, c->op) == UINT32_MAX
               ? say("%s: its domain makes a graph without it", c->op->name)
               : NULL;
}

/* --- The node alone -------------------------------------------------------------------------- */

static void keep_operand(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                         uint32_t depth)
{
    Case *c = arg;
    size_t bytes;
    (void)exp;
    if (depth > 0)
        return;
    const ScNode *n = &g->node[find_node(g, c->op)];
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] == v && !c->in[i].data) {
            c->in[i] = *t;
            ck_assert_int_eq(scrt_tensor_alloc(&c->in[i]), SCRT_OK);
            ck_assert(scrt_tensor_bytes(t, &bytes));
            memcpy(c->in[i].data, t->data, bytes);
        }
}

static bool fill_operands(Case *c, const ScNode *n, uint64_t *r)
{
    double lo = c->op->domain.lo, hi = c->op->domain.hi;
    if (lo == 0 && hi == 0)
        lo = -4, hi = 4;
    ScrtTensor *in = sct_inputs(c->drawn, r, lo, hi, 0, NULL);
    ScrtTensor *out = calloc(c->drawn->n_out + 1u, sizeof *out);
    c->in = calloc(n->n_in + 1u, sizeof *c->in);
    ck_assert(out && c->in);
    bool ok = sc_eval(c->drawn, in, out, &(ScEvalOptions){.see = keep_operand, .arg = c});
    sct_free(in, c->drawn->n_in);
    sct_free(out, ok ? c->drawn->n_out : 0);
    return ok;
}

static const char *isolate(Case *c, const ScNode *n)
{
    ScBuild b;
    ScVal in[SC_MAX_IN + 2], out[SC_MAX_OUT];
    sc_build_init(&b, c->cx, "alone", NULL);
    sc_build_flags(&b, c->drawn->flags);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScValue *v = &c->drawn->value[n->in[i]];
        in[i] = n->in[i] == SC_ABSENT ? SC_ABSENT : sc_input(&b, NULL, v->type, v->exp);
    }
    ScGraph *sub[2] = {NULL};
    ck_assert_uint_le(n->op->n_sub, 2);
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        sub[i] = sc_graph_clone(n->sub[i]);
    sc_node(&b, c->op, n->attr, sub, n->n_in, in, n->n_out, out);
    for (uint32_t i = 0; i < n->n_out; i++) {
        sc_set_exp(&b, out[i], c->drawn->value[n->first + i].exp);
        sc_output(&b, NULL, out[i]);
    }
    c->g = sc_build_end(&b);
    if (!c->g)
        return say("%s: does not stand alone: %s", c->op->name, sct_messages(c->cx));
    c->n = &c->g->node[find_node(c->g, c->op)];
    for (uint32_t i = 0; i < n->n_out; i++)
        if (sc_type_of(c->g, c->n->first + i) != sc_type_of(c->drawn, n->first + i))
            return say("%s: result %u has another type when its operands are not known",
                       c->op->name, i);
    return NULL;
}

bool case_run(const Case *c, const ScrtTensor *in, ScrtTensor *ret_out)
{
    ScrtTensor present[SC_MAX_IN + 2];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (c->n->in[i] != SC_ABSENT)
            present[n++] = in[i];
    return sc_eval(c->g, present, ret_out, NULL);
}

const char *case_make(Case *c, const ScOp *op, uint64_t seed)
{
    uint64_t r = seed;
    *c = (Case){.cx = sc_ctx_new(), .op = op};
    if (!sc_schema(c->cx, op))
        return say("%s: %s", op->name, sct_messages(c->cx));
    const char *why = draw(c, &r);
    if (why)
        return why;
    const ScNode *n = &c->drawn->node[find_node(c->drawn, op)];
    if (!fill_operands(c, n, &r))
        return say("%s: cannot be evaluated: %s", op->name, sct_messages(c->cx));
    why = isolate(c, n);
    if (why)
        return why;
    c->out = calloc(c->n->n_out + 1u, sizeof *c->out);
    ck_assert_ptr_nonnull(c->out);
    return case_run(c, c->in, c->out)
               ? NULL
               : say("%s: cannot be evaluated alone: %s", op->name, sct_messages(c->cx));
}

void case_free(Case *c)
{
    if (c->in)
        sct_free(c->in, c->n ? c->n->n_in : 0);
    if (c->out)
        sct_free(c->out, c->n->n_out);
    sc_graph_free(c->g);
    sc_graph_free(c->drawn);
    sc_ctx_free(c->cx);
}

/* --- Comparing ------------------------------------------------------------------------------- */

double ulps(ScrtDtype t, double a, double b, double at_least)
{
    const ScrtFormat *f = scrt_format(t);
    if (a == b || (isnan(a) && isnan(b)))
        return signbit(a) == signbit(b) || isnan(a) || a != 0 ? 0 : 0.5;
    if (!isfinite(a) || !isfinite(b))
        return INFINITY;
    double most = fmax(fmax(fabs(a), fabs(b)), at_least);
    return fabs(a - b) / fmax(ldexp(1, ilogb(most) - f->man_bits), f->min_denorm);
}

static double largest(const ScrtTensor *t)
{
    double most = 0;
    for (int64_t i = 0; i < scrt_count(t); i++) {
        double x = fabs(scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i));
        most = isfinite(x) && x > most ? x : most;
    }
    return most;
}

const char *compare(const Case *c, uint32_t k, const ScrtTensor *got, double max_ulp, bool whole,
                    const char *what)
{
    const ScrtTensor *want = &c->out[k];
    ScrtDtype t = (ScrtDtype)want->dtype;
    if (got->dtype != want->dtype || scrt_count(got) != scrt_count(want))
        return say("%s: %s gives another type or shape", c->op->name, what);
    double at_least = whole && scrt_dtype_is_float(t) ? largest(want) : 0;
    for (int64_t i = 0; i < scrt_count(want); i++) {
        if (t == SCRT_STRING) {
            ScrtChars a = scrt_chars(NULL, want, i), b = scrt_chars(NULL, got, i);
            if (!scrt_chars_equal(a, b))
                return say("%s: %s gives \"%.*s\" at element %lld of result %u, the evaluation "
                           "\"%.*s\"",
                           c->op->name, what, (int)b.n, b.at, (long long)i, k, (int)a.n, a.at);
            continue;
        }
        if (!scrt_dtype_is_float(t)) {
            long long a = scrt_load_int(t, want->data, (size_t)i);
            long long b = scrt_load_int(t, got->data, (size_t)i);
            if (a != b)
                return say("%s: %s gives %lld at element %lld of result %u, the evaluation %lld",
                           c->op->name, what, b, (long long)i, k, a);
            continue;
        }
        double a = scrt_load(t, want->data, (size_t)i), b = scrt_load(t, got->data, (size_t)i);
        double d = ulps(t, a, b, at_least);
        if (d > max_ulp)
            return say(
                "%s: %s gives %.9g at element %lld of result %u, the evaluation %.9g: %.3g ulp "
                "apart, allowed %g",
                c->op->name, what, b, (long long)i, k, a, d, max_ulp);
    }
    return NULL;
}

bool stores_saturated(const ScNode *n, ScrtDtype t)
{
    int i = sc_attr_index(n->op, "saturate");
    return scrt_dtype_is_low(t) && (i < 0 || n->op->flags & SC_REBALANCES || n->attr[i].i);
}
