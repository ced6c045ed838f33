/* SPDX-License-Identifier: Apache-2.0 */
/* Terms as text, both ways; their evaluation and substitution. */
#include "ir/base/term_priv.h"

#include <stdlib.h>
#include <string.h>

typedef const ScTerm *Binary(ScCtx *cx, const ScTerm *a, const ScTerm *b);

/* The functions of the language, and how each is built from two operands (log2 has one). */
static const struct {
    const char *name;
    ScTermKind kind;
    Binary *make;
} functions[] = {
    {"floordiv", SC_T_FDIV, sc_term_fdiv},
    {"ceildiv", SC_T_CDIV, sc_term_cdiv},
    {"mod", SC_T_MOD, sc_term_mod},
    {"min", SC_T_MIN, sc_term_min},
    {"max", SC_T_MAX, sc_term_max},
    {"bcast", SC_T_BCAST, sc_term_bcast},
    {"log2", SC_T_LOG2, NULL},
};
enum { N_FUNCTION = sizeof functions / sizeof *functions, MAX_DEPTH = 200 };

/* --- Printing -------------------------------------------------------------------------------- */

static void print_sum(const ScTerm *t, ScStr *out)
{
    for (uint32_t i = 0; i < t->n; i++) {
        int64_t k = t->coef[i];
        if (i > 0 && k > 0)
            sc_str_add(out, "+");
        if (k == -1)
            sc_str_add(out, "-");
        else if (k != 1)
            sc_str_addf(out, "%lld*", (long long)k);
        sc_term_print(t->arg[i], out);
    }
    if (t->c)
        sc_str_addf(out, "%+lld", (long long)t->c);
}

static void print_function(const ScTerm *t, ScStr *out)
{
    for (uint32_t i = 0; i < N_FUNCTION; i++)
        if (functions[i].kind == t->kind)
            sc_str_add(out, functions[i].name);
    for (uint32_t i = 0; i < t->n; i++) {
        sc_str_add(out, i ? "," : "(");
        sc_term_print(t->arg[i], out);
    }
    if (t->has_c)
        sc_str_addf(out, ",%lld", (long long)t->c);
    sc_str_add(out, ")");
}

void sc_term_print(const ScTerm *t, ScStr *out)
{
    switch (t->kind) {
    case SC_T_CONST:
        sc_str_addf(out, "%lld", (long long)t->c);
        break;
    case SC_T_SYM:
        sc_str_name(out, t->sym);
        break;
    case SC_T_SUM:
        print_sum(t, out);
        break;
    case SC_T_MUL:
        for (uint32_t i = 0; i < t->n; i++) {
            sc_str_add(out, i ? "*" : "");
            sc_term_print(t->arg[i], out);
        }
        break;
    default:
        print_function(t, out);
    }
}

/* --- Parsing --------------------------------------------------------------------------------- */

typedef struct Parser {
    ScCtx *cx;
    const char *p;
    int depth;
} Parser;

static const ScTerm *parse_sum(Parser *ps);

/* A literal is read with its sign, because the least integer has no positive twin. */
static const ScTerm *parse_number(Parser *ps, bool negative)
{
    uint64_t x = 0, limit = (uint64_t)INT64_MAX + negative;
    for (; *ps->p >= '0' && *ps->p <= '9'; ps->p++) {
        uint64_t digit = (uint64_t)(*ps->p - '0');
        if (x > (limit - digit) / 10)
            return NULL;
        x = 10 * x + digit;
    }
    return sc_term(ps->cx, negative ? (int64_t)(0 - x) : (int64_t)x);
}

/* The operands of a function after its name, "(" included. */
static const ScTerm *parse_call(Parser *ps, const char *name)
{
    uint32_t f = 0;
    while (f < N_FUNCTION && strcmp(functions[f].name, name) != 0)
        f++;
    if (f == N_FUNCTION)
        return NULL;
    ScTermKind kind = functions[f].kind;
    bool many = kind == SC_T_MIN || kind == SC_T_MAX || kind == SC_T_BCAST;
    const ScTerm *t = NULL;
    uint32_t n = 0;
    do {
        ps->p++; /* "(" or "," */
        const ScTerm *x = parse_sum(ps);
        if (!x)
            return NULL;
        if (n++ == 0)
            t = x;
        else if (kind == SC_T_LOG2 || (n > 2 && !many))
            return NULL;
        else
            t = functions[f].make(ps->cx, t, x);
    } while (*ps->p == ',');
    if (*ps->p != ')' || (n == 1 && kind != SC_T_LOG2 && !many))
        return NULL;
    ps->p++;
    return kind == SC_T_LOG2 ? sc_term_log2(ps->cx, t) : t;
}

static const ScTerm *parse_factor(Parser *ps, bool negative)
{
    const ScTerm *t = NULL;
    if (*ps->p >= '0' && *ps->p <= '9')
        return parse_number(ps, negative);
    if (*ps->p == '(') {
        ps->p++;
        t = parse_sum(ps);
        if (!t || *ps->p != ')')
            return NULL;
        ps->p++;
    } else {
        ScStr name = {0};
        bool quoted = *ps->p == '"';
        if (sc_read_name(&ps->p, &name))
            t = *ps->p == '(' && !quoted ? parse_call(ps, sc_str_get(&name))
                                         : sc_term_sym(ps->cx, sc_str_get(&name));
        sc_str_free(&name);
    }
    return t && negative ? sc_term_scale(ps->cx, t, -1) : t;
}

static const ScTerm *parse_product(Parser *ps, bool negative)
{
    const ScTerm *t = parse_factor(ps, negative);
    while (t && *ps->p == '*') {
        const char *back = ps->p++;
        const ScTerm *f = parse_factor(ps, false);
        if (!f) { /* the star is not ours, as in "n * 2^3" without its spaces */
            ps->p = back;
            break;
        }
        t = sc_term_mul(ps->cx, t, f);
    }
    return t;
}

static const ScTerm *parse_sum(Parser *ps)
{
    if (++ps->depth > MAX_DEPTH)
        return NULL;
    bool negative = *ps->p == '-';
    ps->p += negative;
    const ScTerm *t = parse_product(ps, negative), **part = NULL;
    uint32_t n = 0, cap = 0;
    while (t) {
        sc_buf_push(part, n, cap, t);
        const char *back = ps->p;
        if (*ps->p != '+' && *ps->p != '-')
            break;
        negative = *ps->p++ == '-';
        t = parse_product(ps, negative);
        if (!t) /* the sign is not ours, as in "n->" */
            ps->p = back;
    }
    t = n > 1 ? sc_term_sum(ps->cx, n, part, NULL) : n ? part[0] : NULL;
    sc_buf_free(part);
    ps->depth--;
    return t;
}

const ScTerm *sc_term_parse(ScCtx *cx, const char **p)
{
    Parser ps = {cx, *p, 0};
    const ScTerm *t = parse_sum(&ps);
    *p = ps.p;
    return t;
}

/* --- Evaluation ------------------------------------------------------------------------------ */

static bool eval_sum(const ScTerm *t, uint32_t n, const ScBinding *env, int64_t *ret)
{
    int64_t sum = t->c, x;
    for (uint32_t i = 0; i < t->n; i++)
        if (!sc_term_eval(t->arg[i], n, env, &x) || __builtin_mul_overflow(x, t->coef[i], &x) ||
            __builtin_add_overflow(sum, x, &sum))
            return false;
    *ret = sum;
    return true;
}

static bool eval_division(ScTermKind kind, int64_t a, int64_t b, int64_t *ret)
{
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    int64_t q = a / b, r = a % b;
    bool down = r != 0 && (r < 0) != (b < 0); /* truncation went up */
    if (kind == SC_T_MOD)
        *ret = down ? r + b : r;
    else if (kind == SC_T_FDIV)
        *ret = down ? q - 1 : q;
    else
        *ret = r != 0 && !down ? q + 1 : q;
    return true;
}

/* Joins the value so far with the next operand's. */
static bool eval_join(ScTermKind kind, int64_t x, int64_t *acc)
{
    switch (kind) {
    case SC_T_MUL:
        return !__builtin_mul_overflow(*acc, x, acc);
    case SC_T_MIN:
        *acc = x < *acc ? x : *acc;
        return true;
    case SC_T_MAX:
        *acc = x > *acc ? x : *acc;
        return true;
    case SC_T_BCAST:
        if (*acc == 1)
            *acc = x;
        return x == 1 || x == *acc;
    default:
        return eval_division(kind, *acc, x, acc);
    }
}

static bool eval_symbol(const char *sym, uint32_t n, const ScBinding *env, int64_t *ret)
{
    for (uint32_t i = 0; i < n; i++)
        if (env[i].sym == sym) {
            *ret = env[i].value;
            return true;
        }
    return false;
}

bool sc_term_eval(const ScTerm *t, uint32_t n, const ScBinding *env, int64_t *ret)
{
    int64_t acc, x;
    switch (t->kind) {
    case SC_T_CONST:
        *ret = t->c;
        return true;
    case SC_T_SYM:
        return eval_symbol(t->sym, n, env, ret);
    case SC_T_SUM:
        return eval_sum(t, n, env, ret);
    default:
        break;
    }
    if (!sc_term_eval(t->arg[0], n, env, &acc))
        return false;
    if (t->kind == SC_T_LOG2)
        acc = acc < 1 ? 0 : 63 - __builtin_clzll((unsigned long long)acc);
    for (uint32_t i = 1; i < t->n; i++)
        if (!sc_term_eval(t->arg[i], n, env, &x) || !eval_join(t->kind, x, &acc))
            return false;
    if (t->has_c && !eval_join(t->kind, t->c, &acc))
        return false;
    *ret = acc;
    return true;
}

/* --- Substitution ---------------------------------------------------------------------------- */

static const ScTerm *subst_sum(ScCtx *cx, const ScTerm *t, uint32_t n, const char *const *sym,
                               const ScTerm *const *to)
{
    const ScTerm **x = sc_realloc(NULL, t->n * sizeof *x);
    for (uint32_t i = 0; i < t->n; i++)
        x[i] = sc_term_subst(cx, t->arg[i], n, sym, to);
    const ScTerm *sum = sc_term_addc(cx, sc_term_sum(cx, t->n, x, t->coef), t->c);
    free(x);
    return sum;
}

const ScTerm *sc_term_subst(ScCtx *cx, const ScTerm *t, uint32_t n, const char *const *sym,
                            const ScTerm *const *to)
{
    if (!t || t->kind == SC_T_CONST)
        return t;
    if (t->kind == SC_T_SYM) {
        for (uint32_t i = 0; i < n; i++)
            if (sym[i] == t->sym)
                return to[i];
        return t;
    }
    if (t->kind == SC_T_LOG2)
        return sc_term_log2(cx, sc_term_subst(cx, t->arg[0], n, sym, to));
    if (t->kind == SC_T_SUM)
        return subst_sum(cx, t, n, sym, to);
    Binary *make = sc_term_mul;
    for (uint32_t i = 0; i < N_FUNCTION; i++)
        if (functions[i].kind == t->kind)
            make = functions[i].make;
    const ScTerm *r = NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        const ScTerm *x = sc_term_subst(cx, t->arg[i], n, sym, to);
        r = i ? make(cx, r, x) : x;
    }
    return t->has_c ? make(cx, r, sc_term(cx, t->c)) : r;
}

void sc_term_symbols(const ScTerm *t, void (*see)(void *arg, const char *sym), void *arg)
{
    if (t->kind == SC_T_SYM)
        see(arg, t->sym);
    for (uint32_t i = 0; i < t->n; i++)
        sc_term_symbols(t->arg[i], see, arg);
}
