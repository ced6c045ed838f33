/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/table/table.h"

#include "ir/ir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- The row itself -------------------------------------------------------------------------- */

static bool may_be_float(ScOperandClass cls)
{
    return cls == SC_IS_FLOAT || cls == SC_IS_NUM || cls == SC_IS_ANY || cls == SC_IS_PLAIN;
}

static const char *check_parts(const ScOp *op, const ScSchema *s)
{
    bool any_float = false;
    if (!op->doc || !*op->doc || strchr(op->doc, '\n'))
        return say("%s: its doc is not one line", op->name);
    if (!op->infer)
        return say("%s: has no inference", op->name);
    if (!sc_op_described(op))
        return say("%s: has not the descriptor of its class", op->name);
    if (op->lower.cls == SC_KERNEL || op->lower.cls == SC_SOURCE || op->control)
        return NULL;
    if (!op->eval && !op->expand) /* with neither it would be for shapes only, and fold away */
        return say("%s: has no evaluation", op->name);
    for (uint32_t i = 0; i < s->n_in; i++)
        any_float |= may_be_float(s->in[i].cls);
    for (uint32_t i = 0; i < s->n_out; i++)
        any_float |= may_be_float(s->out[i].cls);
    if (any_float && !s->has_scale)
        return say("%s: takes or gives floats and has no scale signature", op->name);
    if (op->quantizable >> s->n_in)
        return say("%s: a quantizable operand does not exist", op->name);
    if (op->bias && (op->bias >= s->n_in || !s->in[op->bias].optional))
        return say("%s: its bias is no optional operand", op->name);
    return NULL;
}

const char *check_schema(const ScOp *op, uint64_t seed)
{
    (void)seed;
    ScCtx *cx = sc_ctx_new();
    const ScSchema *s = sc_schema(cx, op);
    const char *why = s ? check_parts(op, s) : say("%s: %s", op->name, sct_messages(cx));
    for (uint32_t i = 0; i < op->n_attr && !why; i++) {
        const ScAttrDef *a = &op->attr[i];
        if (!a->name || !a->doc || a->kind == SC_A_NONE)
            why = say("%s: attribute %u has no name, doc or kind", op->name, i);
        else if (a->def.kind != SC_A_NONE && a->def.kind != a->kind)
            why = say("%s: the default of %s is of another kind", op->name, a->name);
        else if (sc_attr_index(op, a->name) != (int)i)
            why = say("%s: two attributes are called %s", op->name, a->name);
    }
    sc_ctx_free(cx);
    return why;
}

/* --- Inference and text ---------------------------------------------------------------------- */

const char *check_inference(const ScOp *op, uint64_t seed)
{
    Case c, d;
    ScStr s = {0};
    const char *why = case_make(&c, op, seed);
    if (!why) {
        why = case_make(&d, op, seed);
        if (!why) {
            sc_print(c.g, 0, &s);
            if (strcmp(sc_str_get(&s), sct_print(d.g)) != 0)
                why = say("%s: infers %s and %s", op->name, sc_str_get(&s), sct_print(d.g));
        }
        case_free(&d);
    }
    if (!why && !sc_verify(c.g, NULL))
        why = say("%s: %s", op->name, sct_messages(c.cx));
    sc_str_free(&s);
    case_free(&c);
    return why;
}

static const char *round_trip(ScCtx *cx, const ScOp *op, const ScGraph *g)
{
    ScStr difference = {0};
    ScArena *a = sc_arena_new();
    ScBlobSource src = sc_graph_blobs(g, a);
    const char *why = NULL;
    ScGraph *back = sc_parse(cx, "case", sct_print(g), &src, NULL);
    if (!back)
        why = say("%s: its text does not parse: %s\n%s", op->name, sct_messages(cx), sct_print(g));
    else if (!sc_graph_equal(g, back, &difference))
        why = say("%s: its text does not keep %s", op->name, sc_str_get(&difference));
    sc_graph_free(back);
    sc_str_free(&difference);
    sc_arena_free(a);
    return why;
}

const char *check_text(const ScOp *op, uint64_t seed)
{
    Case c;
    const char *why = case_make(&c, op, seed);
    if (!why)
        why = round_trip(c.cx, op, c.drawn);
    if (!why)
        why = round_trip(c.cx, op, c.g);
    case_free(&c);
    return why;
}

/* --- The scale signature --------------------------------------------------------------------- */

static int64_t at(const ScSchema *s, const ScScaleExpr *x, const int64_t *var)
{
    int64_t e = 0;
    for (uint32_t v = 0; v < s->n_var; v++)
        e += x->coef[v] * var[v];
    return e;
}

static void forbid(const ScSchema *s, const ScScaleExpr *x, const ScType *t, bool *forced)
{
    for (uint32_t v = 0; v < s->n_var; v++)
        forced[v] |= t->kind == SC_TYPE_TENSOR && !sc_type_is_float(t) && x->coef[v] != 0;
}

/* Variables that a type without a scale forces to 0. */
static void find_forced(const Case *c, const ScSchema *s, bool *forced)
{
    memset(forced, 0, SC_MAX_VARS * sizeof *forced);
    for (uint32_t i = 0; i < c->n->n_in; i++)
        forbid(s, sc_scale_in(s, i), sc_type_of(c->g, c->n->in[i]), forced);
    for (uint32_t i = 0; i < c->n->n_out; i++)
        forbid(s, sc_scale_out(s, i), sc_type_of(c->g, c->n->first + i), forced);
}

static void shift(ScrtTensor *t, int64_t by)
{
    ScrtDtype d = (ScrtDtype)t->dtype;
    for (int64_t i = 0; i < scrt_count(t) && scrt_dtype_is_float(d); i++)
        scrt_store(d, t->data, (size_t)i, ldexp(scrt_load(d, t->data, (size_t)i), (int)by), false);
}

/* Whether one of two results left the range where doubling is exact. */
static bool out_of_range(const ScrtFormat *f, double a, double b)
{
    double lo = fmin(fabs(a), fabs(b)), hi = fmax(fabs(a), fabs(b));
    return lo <= f->min_normal || hi >= f->max; /* both limits may be what was rounded to them */
}

/* Elements of result k: plain times 2^e must be scaled. *n counts those that were in range. */
static bool law_holds(const ScrtTensor *plain, const ScrtTensor *scaled, int64_t e, bool carries,
                      uint64_t *n)
{
    ScrtDtype t = (ScrtDtype)plain->dtype;
    if (!scrt_dtype_is_float(t))
        return sct_same_bits(plain, scaled);
    for (int64_t i = 0; i < scrt_count(plain); i++) {
        double a = scrt_load(t, plain->data, (size_t)i), b = scrt_load(t, scaled->data, (size_t)i);
        double want = carries ? ldexp(a, (int)e) : a;
        if (ulps(t, want, b, 0) == 0)
            ++*n;
        else if (!out_of_range(scrt_format(t), a, b))
            return false;
    }
    return true;
}

static const char *show(const ScSchema *s, const int64_t *var)
{
    static char text[256];
    size_t n = 0;
    text[0] = '\0';
    for (uint32_t v = 0; v < s->n_var && n < sizeof text - 32; v++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%c = %lld", v ? ", " : "", s->var[v],
                              (long long)var[v]);
    return text;
}

/* One draw of exponents: operands scaled, the node run, results compared. */
static const char *try_law(Case *c, const ScSchema *s, uint64_t *r, uint64_t *n)
{
    bool forced[SC_MAX_VARS];
    int64_t var[SC_MAX_VARS];
    const char *why = NULL;
    find_forced(c, s, forced);
    for (uint32_t v = 0; v < s->n_var; v++)
        var[v] = forced[v] ? 0 : sct_between(r, -12, 12);
    ScrtTensor *in = calloc(c->n->n_in + 1u, sizeof *in), out[SC_MAX_OUT];
    for (uint32_t i = 0; i < c->n->n_in; i++) {
        size_t bytes;
        if (!c->in[i].data)
            continue;
        in[i] = c->in[i];
        ck_assert_int_eq(scrt_tensor_alloc(&in[i]), SCRT_OK);
        ck_assert(scrt_tensor_bytes(&in[i], &bytes));
        memcpy(in[i].data, c->in[i].data, bytes);
        shift(&in[i], at(s, sc_scale_in(s, i), var));
    }
    if (!case_run(c, in, out))
        why = say("%s: cannot be evaluated at %s: %s", c->op->name, show(s, var),
                  sct_messages(c->cx));
    for (uint32_t k = 0; k < c->n->n_out && !why; k++) {
        const ScScaleExpr *x = sc_scale_out(s, k);
        if (!law_holds(&c->out[k], &out[k], at(s, x, var), !x->none, n))
            why = say("%s does not keep '%s' at %s", c->op->name, c->op->scale, show(s, var));
    }
    for (uint32_t k = 0; k < c->n->n_out && sc_n_errors(c->cx) == 0; k++)
        scrt_free(out[k].data);
    sct_free(in, c->n->n_in);
    return why;
}

/* A row that moves factors between exponent and data keeps the numbers that are represented. */
static const char *try_rebalance(Case *c)
{
    int64_t from, to;
    ck_assert(sc_term_const(c->g->value[c->n->in[0]].exp, &from));
    ck_assert(sc_term_const(c->g->value[c->n->first].exp, &to));
    uint64_t n = 0;
    return law_holds(&c->in[0], &c->out[0], from - to, true, &n)
               ? NULL
               : say("%s does not keep the numbers from 2^%lld to 2^%lld", c->op->name,
                     (long long)from, (long long)to);
}

const char *check_signature(const ScOp *op, uint64_t seed)
{
    Case c;
    uint64_t n = 0, r = seed + 1;
    const char *why = case_make(&c, op, seed);
    if (!why && (op->flags & SC_REBALANCES))
        why = try_rebalance(&c);
    else if (!why && op->scale) {
        const ScSchema *s = sc_schema(c.cx, op);
        for (int round = 0; round < 20 && !why; round++)
            why = try_law(&c, s, &r, &n);
        if (!why && n == 0 && scrt_dtype_is_float((ScrtDtype)c.out[0].dtype))
            why = say("%s: no result stays in range, so nothing was tested", op->name);
    }
    case_free(&c);
    return why;
}

/* Exponents that are symbols, on operands and results as the signature says: what scalify leaves.
 */
const char *check_scaled(const ScOp *op, uint64_t seed)
{
    Case c;
    const char *why = case_make(&c, op, seed);
    if (!why && op->scale && !(op->flags & SC_REBALANCES)) {
        const ScSchema *s = sc_schema(c.cx, op);
        const ScTerm *var[SC_MAX_VARS];
        bool forced[SC_MAX_VARS];
        ScValue *value = (ScValue *)(uintptr_t)c.g->value;
        find_forced(&c, s, forced);
        for (uint32_t v = 0; v < s->n_var; v++) {
            char name[2] = {s->var[v], '\0'};
            var[v] = forced[v] ? sc_term(c.cx, 0) : sc_term_sym(c.cx, sc_intern(c.cx, name));
        }
        for (uint32_t i = 0; i < c.n->n_in; i++)
            if (sc_type_is_float(value[c.n->in[i]].type))
                value[c.n->in[i]].exp = sc_scale_apply(c.cx, sc_scale_in(s, i), var);
        for (uint32_t i = 0; i < c.n->n_out; i++)
            if (sc_type_is_float(value[c.n->first + i].type))
                value[c.n->first + i].exp = sc_scale_apply(c.cx, sc_scale_out(s, i), var);
        c.g->flags |= SC_G_SCALED;
        if (!sc_verify(c.g, NULL))
            why = say("%s: %s\n%s", op->name, sct_messages(c.cx), sct_print(c.g));
        else
            why = round_trip(c.cx, op, c.g);
    }
    case_free(&c);
    return why;
}

/* --- Evaluation against expansion and lowering ----------------------------------------------- */

/* Fills the operands with ones and looks at the results. */
static const char *of_ones(const Case *c, const ScrtTensor *out)
{
    for (uint32_t k = 0; k < c->n->n_out; k++)
        for (int64_t i = 0; i < scrt_count(&out[k]); i++) {
            double x = scrt_load(out[k].dtype, out[k].data, (size_t)i);
            if ((c->op->flags & SC_AVERAGES) && x > 1)
                return say("%s: is no mean, it makes %g of ones", c->op->name, x);
            if ((c->op->flags & SC_CONVERTS) && x != 1)
                return say("%s: converts 1 to %g", c->op->name, x);
        }
    return NULL;
}

const char *check_flags(const ScOp *op, uint64_t seed)
{
    Case c;
    ScrtTensor out[SC_MAX_OUT];
    const char *why = case_make(&c, op, seed);
    if (!why && op->flags & (SC_AVERAGES | SC_CONVERTS)) {
        for (uint32_t k = 0; k < c.n->n_in; k++)
            for (int64_t i = 0; c.in[k].data && i < scrt_count(&c.in[k]); i++)
                scrt_store(c.in[k].dtype, c.in[k].data, (size_t)i, 1, false);
        if (!case_run(&c, c.in, out))
            why = say("%s: cannot be evaluated on ones: %s", op->name, sct_messages(c.cx));
        else
            why = of_ones(&c, out);
        for (uint32_t k = 0; k < c.n->n_out; k++)
            scrt_free(out[k].data);
    }
    case_free(&c);
    return why;
}

const char *check_expansion(const ScOp *op, uint64_t seed)
{
    Case c;
    ScrtTensor out[SC_MAX_OUT];
    const char *why = case_make(&c, op, seed);
    if (!why && op->eval && op->expand) {
        ScOp by_expansion = *op;
        by_expansion.eval = NULL;
        ((ScNode *)(uintptr_t)c.n)->op = &by_expansion;
        if (!case_run(&c, c.in, out)) {
            why = say("%s: its expansion cannot be evaluated: %s", op->name, sct_messages(c.cx));
        } else {
            for (uint32_t k = 0; k < c.n->n_out; k++) {
                if (!why)
                    why = compare(&c, k, &out[k], (double)op->max_ulp, true, "its expansion");
                scrt_free(out[k].data);
            }
        }
        ((ScNode *)(uintptr_t)c.n)->op = op;
    }
    case_free(&c);
    return why;
}

const char *check_lowering(const ScOp *op, uint64_t seed)
{
    static const char *(*const by_class[])(Case *) = {
        [SC_MAP] = lower_map,
        [SC_REDUCE] = lower_reduce,
        [SC_CONTRACT] = lower_contract,
        [SC_VIEW] = lower_view,
        [SC_CONV] = lower_conv,
        [SC_POOL] = lower_pool,
        [SC_CONCAT] = lower_concat,
        [SC_GATHER] = lower_gather,
        [SC_SCAN] = lower_scan,
        [SC_ATTENTION] = lower_attention,
        [SC_SOURCE] = NULL,
    };
    Case c;
    const char *why = case_make(&c, op, seed);
    if (!why && by_class[op->lower.cls])
        why = by_class[op->lower.cls](&c);
    case_free(&c);
    return why;
}
