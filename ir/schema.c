/* SPDX-License-Identifier: Apache-2.0 */
/* The strings of a row, parsed: operand schemas and scale signatures; and the binding of a
 * signature's variables to exponents, as the verifier recomputes it. */
#include "ir/op.h"

#include <string.h>

/* --- Parsing --------------------------------------------------------------------------------- */

typedef struct Reader {
    ScCtx *cx;
    const char *p;
    const char *why; /* what is wrong, once something is */
} Reader;

static bool fail(Reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    return false;
}

static void skip_space(Reader *r)
{
    while (*r->p == ' ')
        r->p++;
}

/* Takes the token if it comes next. */
static bool take(Reader *r, const char *token)
{
    skip_space(r);
    size_t n = strlen(token);
    if (strncmp(r->p, token, n) != 0)
        return false;
    r->p += n;
    return true;
}

/* The ellipsis in either spelling. */
static bool take_ellipsis(Reader *r)
{
    return take(r, "...") || take(r, "\u2026");
}

static const char *take_word(Reader *r)
{
    skip_space(r);
    const char *q = r->p;
    while ((*q >= 'a' && *q <= 'z') || (*q >= 'A' && *q <= 'Z') || *q == '_' ||
           (q > r->p && *q >= '0' && *q <= '9'))
        q++;
    if (q == r->p)
        return NULL;
    const char *word = sc_intern_n(r->cx, r->p, (size_t)(q - r->p));
    r->p = q;
    return word;
}

static bool read_class(Reader *r, ScOperandClass *ret)
{
    static const char *const names[] = {
        [SC_IS_ANY] = "any",     [SC_IS_FLOAT] = "float",  [SC_IS_INT] = "int",
        [SC_IS_BOOL] = "bool",   [SC_IS_NUM] = "num",      [SC_IS_SHAPE] = "shape",
        [SC_IS_PLAIN] = "plain", [SC_IS_STRING] = "string"};
    const char *word = take_word(r);
    for (size_t i = 0; word && i < sizeof names / sizeof *names; i++)
        if (strcmp(word, names[i]) == 0) {
            *ret = (ScOperandClass)i;
            return true;
        }
    return fail(r, "an operand's class is not known");
}

bool sc_class_takes(ScOperandClass cls, ScrtDtype t)
{
    ScrtKind k = scrt_dtype_kind(t);
    bool integer = scrt_dtype_is_integer(t);
    switch (cls) {
    case SC_IS_ANY:
        return true;
    case SC_IS_FLOAT:
        return scrt_dtype_is_float(t);
    case SC_IS_INT:
        return integer;
    case SC_IS_BOOL:
        return k == SCRT_KIND_BOOL;
    case SC_IS_NUM:
        return integer || scrt_dtype_is_float(t);
    case SC_IS_SHAPE:
        return t == SCRT_I64;
    case SC_IS_PLAIN:
        return t != SCRT_STRING;
    case SC_IS_STRING:
        return t == SCRT_STRING;
    }
    return false;
}

/* "x: float, axes?: int, xs...: any" */
static bool read_operands(Reader *r, uint32_t max, ScOperand *o, uint32_t *ret_n, uint32_t *ret_min,
                          bool *ret_repeats)
{
    skip_space(r);
    if (!*r->p)
        return true;
    do {
        if (*ret_n == max)
            return fail(r, "there are too many operands or results");
        if (*ret_repeats)
            return fail(r, "only the last operand may repeat");
        ScOperand *x = &o[(*ret_n)++];
        x->name = take_word(r);
        if (!x->name)
            return fail(r, "an operand has no name");
        x->optional = take(r, "?");
        x->repeats = *ret_repeats = take_ellipsis(r);
        if (!take(r, ":"))
            return fail(r, "a colon is missing");
        if (!read_class(r, &x->cls))
            return false;
        if (!x->optional)
            *ret_min = *ret_n;
    } while (take(r, ","));
    return *r->p ? fail(r, "an operand is followed by something else") : true;
}

/* The index of a variable; a new one is added where may_add. -1 after a mistake. */
static int variable(Reader *r, ScSchema *s, char letter, bool may_add)
{
    for (uint32_t i = 0; i < s->n_var; i++)
        if (s->var[i] == letter)
            return (int)i;
    if (!may_add || s->n_var == SC_MAX_VARS) {
        fail(r, may_add ? "there are too many variables" : "a result has a variable of no operand");
        return -1;
    }
    s->var[s->n_var] = letter;
    return (int)s->n_var++;
}

/* "a+b", "2a", "-a", "0", "_", "a!", "a..." */
static bool read_expr(Reader *r, ScSchema *s, bool may_add, ScScaleExpr *e)
{
    if (take(r, "_")) {
        e->none = true;
        e->repeats = take_ellipsis(r);
        return true;
    }
    bool first = true;
    for (;; first = false) {
        skip_space(r);
        bool arrow = strncmp(r->p, "->", 2) == 0;
        int sign = !arrow && take(r, "-") ? -1 : 1;
        if (sign > 0 && !first && !take(r, "+"))
            break;
        skip_space(r);
        int k = 0, digits = 0;
        for (; *r->p >= '0' && *r->p <= '9' && digits < 2; r->p++, digits++)
            k = 10 * k + (*r->p - '0');
        if (*r->p >= 'a' && *r->p <= 'z') {
            int v = variable(r, s, *r->p++, may_add);
            if (v < 0)
                return false;
            e->coef[v] = (int8_t)(e->coef[v] + sign * (digits ? k : 1));
        } else if (!digits || k != 0) {
            return fail(r, "an expression of the signature is not understood");
        }
    }
    e->wants0 = take(r, "!");
    e->repeats = take_ellipsis(r);
    return true;
}

/* One expression for each of n operands; an ellipsis at the end stands for all that are left. */
static bool read_exprs(Reader *r, ScSchema *s, bool may_add, uint32_t n, ScScaleExpr *e)
{
    uint32_t k = 0;
    if (n == 0)
        return true;
    do {
        if (k == n)
            return fail(r, "the signature has more expressions than there are operands or results");
        if (!read_expr(r, s, may_add, &e[k++]))
            return false;
    } while (take(r, ","));
    for (; e[k - 1].repeats && k < n; k++)
        e[k] = e[k - 1];
    return k == n ||
           fail(r, "the signature has fewer expressions than there are operands or results");
}

static bool read_schema(Reader *r, const ScOp *op, ScSchema *s)
{
    r->p = op->in ? op->in : "";
    if (!read_operands(r, SC_MAX_IN, s->in, &s->n_in, &s->min_in, &s->in_repeats))
        return false;
    r->p = op->out ? op->out : "";
    if (!read_operands(r, SC_MAX_OUT, s->out, &s->n_out, &s->min_out, &s->out_repeats))
        return false;
    if (!op->scale)
        return true;
    s->has_scale = true;
    r->p = op->scale;
    if (!read_exprs(r, s, true, s->n_in, s->scale_in))
        return false;
    if (!take(r, "->"))
        return fail(r, "the signature has no ->");
    if (!read_exprs(r, s, false, s->n_out, s->scale_out))
        return false;
    skip_space(r);
    if (*r->p)
        return fail(r, "the signature is followed by something else");
    for (uint32_t i = 0; i < s->n_in; i++)
        if (s->scale_in[i].none && s->in[i].cls == SC_IS_FLOAT)
            return fail(r, "_ stands at a float operand");
    for (uint32_t i = 0; i < s->n_out; i++)
        if (s->scale_out[i].none && s->out[i].cls == SC_IS_FLOAT)
            return fail(r, "_ stands at a float result");
    return true;
}

const ScSchema *sc_schema(ScCtx *cx, const ScOp *op)
{
    struct Slot {
        enum { NEW, GOOD, BAD } state;
        const char *why;
        ScSchema s;
    } *slot = sc_ctx_slot(cx, &op->in, sizeof *slot); /* a key that only this function uses */
    if (slot->state == NEW) {
        Reader r = {.cx = cx};
        slot->state = read_schema(&r, op, &slot->s) ? GOOD : BAD;
        slot->why = r.why;
    }
    if (slot->state == BAD) {
        sc_fail(cx, NULL, SC_E_VERIFY, "row %s of the op table: %s", op->name, slot->why);
        return NULL;
    }
    return &slot->s;
}

/* --- Scale signatures ------------------------------------------------------------------------ */

const ScScaleExpr *sc_scale_in(const ScSchema *s, uint32_t i)
{
    return &s->scale_in[i < s->n_in ? i : s->n_in - 1];
}

const ScScaleExpr *sc_scale_out(const ScSchema *s, uint32_t i)
{
    return &s->scale_out[i < s->n_out ? i : s->n_out - 1];
}

const ScTerm *sc_scale_apply(ScCtx *cx, const ScScaleExpr *e, const ScTerm *const *var)
{
    const ScTerm *t = sc_term(cx, 0);
    for (uint32_t v = 0; v < SC_MAX_VARS; v++)
        if (e->coef[v] && var[v])
            t = sc_term_add(cx, t, sc_term_scale(cx, var[v], e->coef[v]));
    return t;
}

/* The only variable of an expression, with its coefficient; -1 where there is none or another. */
static int single(const ScScaleExpr *e, int64_t *ret_k)
{
    int found = -1;
    for (int v = 0; v < SC_MAX_VARS; v++) {
        if (!e->coef[v])
            continue;
        if (found >= 0)
            return -1;
        found = v;
        *ret_k = e->coef[v];
    }
    return found;
}

static bool is_present(const ScType *t)
{
    return t->kind == SC_TYPE_TENSOR;
}

/* Rule 1: what is no float is a mere number, and so is every variable of its expression. */
static void bind_non_floats(ScCtx *cx, const ScScaleExpr *e, const ScType *t, const ScTerm **var)
{
    if (!is_present(t) || sc_type_is_float(t) || e->none)
        return;
    for (uint32_t v = 0; v < SC_MAX_VARS; v++)
        if (e->coef[v])
            var[v] = sc_term(cx, 0);
}

/* Rules 2 and 3: the first operand that is k * v alone gives v; k = 1 goes before all others. */
static void bind_floats(ScCtx *cx, const ScSchema *s, uint32_t n_in, const ScType *const *type,
                        const ScTerm *const *exp, bool alone, const ScTerm **var)
{
    for (uint32_t i = 0; i < n_in; i++) {
        int64_t k = 0;
        int v = single(sc_scale_in(s, i), &k);
        if (v < 0 || var[v] || !sc_type_is_float(type[i]) || !exp[i] || alone != (k == 1))
            continue;
        var[v] = alone ? exp[i] : sc_term_fdiv(cx, exp[i], sc_term(cx, k));
    }
}

bool sc_scale_check(ScCtx *cx, const ScSchema *s, uint32_t n_in, const ScType *const *type,
                    const ScTerm *const *exp, uint32_t n_out, const ScType *const *out_type,
                    const ScTerm **ret_var, uint32_t *ret_bad)
{
    const ScTerm *var[SC_MAX_VARS] = {NULL};
    for (uint32_t i = 0; i < n_in; i++)
        bind_non_floats(cx, sc_scale_in(s, i), type[i], var);
    for (uint32_t i = 0; i < n_out; i++)
        bind_non_floats(cx, sc_scale_out(s, i), out_type[i], var);
    bind_floats(cx, s, n_in, type, exp, true, var);
    bind_floats(cx, s, n_in, type, exp, false, var);
    for (uint32_t v = 0; v < s->n_var; v++)
        ret_var[v] = var[v] ? var[v] : sc_term(cx, 0);
    for (uint32_t i = 0; i < n_in; i++) {
        if (!sc_type_is_float(type[i]))
            continue;
        const ScTerm *want = sc_scale_apply(cx, sc_scale_in(s, i), var);
        if ((exp[i] ? exp[i] : sc_term(cx, 0)) != want) {
            *ret_bad = i;
            return false;
        }
    }
    return true;
}
