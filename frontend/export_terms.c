/* SPDX-License-Identifier: Apache-2.0 */
/* Terms as ONNX computes them: each is an i64 tensor of one element, made once a graph. A symbol is
 * an extent of some value, which Shape tells, or an element of an integer one. */
#include "frontend/export_priv.h"

/* --- Symbols ---------------------------------------------------------------------------------- */

static const ExSymbol *find_symbol(const Export *x, const char *sym)
{
    for (const ExScope *s = x->at; s; s = s->outer)
        for (uint32_t i = 0; i < s->n_symbol; i++)
            if (s->symbol[i].sym == sym)
                return &s->symbol[i];
    return NULL;
}

void ex_symbol(Export *x, const char *sym, const char *value, uint32_t at, bool element)
{
    if (!find_symbol(x, sym))
        sc_buf_push(x->at->symbol, x->at->n_symbol, x->at->cap_symbol,
                    ((ExSymbol){sym, value, at, element}));
}

void ex_symbols_of(Export *x, const ScType *t, const char *value)
{
    for (uint32_t d = 0; d < t->rank; d++)
        if (t->dim[d]->kind == SC_T_SYM)
            ex_symbol(x, t->dim[d]->sym, value, d, false);
}

static const char *known(Export *x, int64_t v)
{
    return ex_i64(x, 1, 1, &v);
}

static const char *symbol(Export *x, const char *sym)
{
    const ExSymbol *s = find_symbol(x, sym);
    const char *out = NULL;
    if (!s) {
        sc_fail(x->cx, x->loc, SC_E_EXPORT, "nothing in the graph says the size \"%s\"", sym);
        return "";
    }
    if (!s->element) {
        Onnxpb__Node *n = ex_node(x, "Shape", 15, 1, &s->value, 1, &out);
        ex_int(x, n, "start", s->at);
        ex_int(x, n, "end", s->at + 1);
        return out;
    }
    const char *flat = ex_op(x, "Reshape", 5, s->value, known(x, -1));
    return ex_cast(x, ex_op(x, "Gather", 1, flat, known(x, s->at)), SCRT_I64);
}

/* --- Terms ------------------------------------------------------------------------------------ */

/* Div rounds toward zero; what Mod leaves has the sign of b. */
static const char *floor_div(Export *x, const char *a, const char *b)
{
    return ex_op(x, "Div", 14, ex_op(x, "Sub", 14, a, ex_op(x, "Mod", 10, a, b)), b);
}

/* Most are of extents, for which Div alone says it, and import follows that. */
static const char *quotient(Export *x, const ScTerm *t, const char *a, const char *b)
{
    bool exact = sc_term_range(x->cx, t->arg[0]).lo >= 0 && sc_term_range(x->cx, t->arg[1]).lo > 0;
    return exact ? ex_op(x, "Div", 14, a, b) : floor_div(x, a, b);
}

static const char *sum(Export *x, const ScTerm *t)
{
    const char *s = NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        const char *a = ex_number(x, t->arg[i]);
        a = t->coef[i] == 1 ? a : ex_op(x, "Mul", 14, a, known(x, t->coef[i]));
        s = s ? ex_op(x, "Add", 14, s, a) : a;
    }
    return t->c ? ex_op(x, "Add", 14, s, known(x, t->c)) : s;
}

static const char *fold(Export *x, const char *type, int since, const ScTerm *t)
{
    const char *s = t->has_c ? known(x, t->c) : NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        const char *a = ex_number(x, t->arg[i]);
        s = s ? ex_op(x, type, since, s, a) : a;
    }
    return s;
}

/* As many powers of two, from 2 on, as are not above a. */
static const char *log2_of(Export *x, const char *a)
{
    int64_t power[62];
    const char *axes = known(x, 0), *out = NULL;
    for (int k = 0; k < 62; k++)
        power[k] = (int64_t)2 << k;
    const char *met = ex_op(x, "GreaterOrEqual", 16, a, ex_i64(x, 1, 62, power));
    ex_node(x, "ReduceSum", 13, 2, (const char *[]){ex_cast(x, met, SCRT_I64), axes}, 1, &out);
    return out;
}

static const char *broadcast(Export *x, const char *a, const char *b)
{
    const char *out = NULL, *one = ex_op(x, "Equal", 13, a, known(x, 1));
    ex_node(x, "Where", 9, 3, (const char *[]){one, b, a}, 1, &out);
    return out;
}

static const char *compute(Export *x, const ScTerm *t)
{
    const char *a = t->n && t->kind >= SC_T_FDIV ? ex_number(x, t->arg[0]) : NULL;
    const char *b = t->n > 1 && t->kind >= SC_T_FDIV ? ex_number(x, t->arg[1]) : NULL;
    switch (t->kind) {
    case SC_T_CONST:
        return known(x, t->c);
    case SC_T_SYM:
        return symbol(x, t->sym);
    case SC_T_SUM:
        return sum(x, t);
    case SC_T_MUL:
        return fold(x, "Mul", 14, t);
    case SC_T_FDIV:
        return quotient(x, t, a, b);
    case SC_T_CDIV:
        return ex_op(x, "Neg", 13, floor_div(x, ex_op(x, "Neg", 13, a, NULL), b), NULL);
    case SC_T_MOD:
        return ex_op(x, "Mod", 10, a, b);
    case SC_T_MIN:
        return fold(x, "Min", 13, t);
    case SC_T_MAX:
        return fold(x, "Max", 13, t);
    case SC_T_LOG2:
        return log2_of(x, a);
    case SC_T_BCAST:
        return broadcast(x, a, b);
    }
    return "";
}

const char *ex_number(Export *x, const ScTerm *t)
{
    for (const ExScope *s = x->at; s; s = s->outer)
        for (uint32_t i = 0; i < s->n_number; i++)
            if (s->number[i].t == t)
                return s->number[i].value;
    ExNumber n = {t, compute(x, t)};
    sc_buf_push(x->at->number, x->at->n_number, x->at->cap_number, n);
    return n.value;
}

const char *ex_numbers(Export *x, uint32_t n, const ScTerm *const *t)
{
    int64_t *v = sc_array(x->a, int64_t, n + 1u);
    const char **part = sc_array(x->a, const char *, n + 1u), *out = NULL;
    bool all = true;
    for (uint32_t i = 0; i < n; i++)
        all = sc_term_const(t[i], &v[i]) && all;
    if (all)
        return ex_i64(x, 1, n, v);
    for (uint32_t i = 0; i < n; i++)
        part[i] = ex_number(x, t[i]);
    if (n == 1)
        return part[0];
    ex_int(x, ex_node(x, "Concat", 13, n, part, 1, &out), "axis", 0);
    return out;
}
