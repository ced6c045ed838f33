/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar bodies: building them, with equal instructions shared, and interpreting them. */
#include "ir/expr.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* --- Building -------------------------------------------------------------------------------- */

static const struct {
    uint8_t n_operand;
    char type; /* F, I, B or T */
} facts[] = {
#define SC_XOP(id, text, n, type) {n, #type[0]},
#include "expr.def"
#undef SC_XOP
};

static bool same(const ScXIns *p, const ScXIns *q)
{
    return p->code == q->code && p->type == q->type && p->a == q->a && p->b == q->b &&
           p->c == q->c && p->i == q->i &&
           !memcmp(&p->f, &q->f, sizeof p->f); /* -0 is not 0, NaN is NaN */
}

/* An equal instruction's result, or that of a new one. Bodies are short. */
static ScX append(ScBody *b, ScXIns ins)
{
    for (uint32_t i = b->n; i-- > 0;)
        if (same(&b->ins[i], &ins))
            return (ScX)i;
    assert(b->n < UINT16_MAX);
    if (b->n == b->cap) {
        uint32_t cap = b->cap ? 2 * b->cap : 32;
        ScXIns *grown = sc_array(b->arena, ScXIns, cap);
        if (b->n)
            memcpy(grown, b->ins, b->n * sizeof *grown);
        b->ins = grown;
        b->cap = cap;
    }
    b->ins[b->n] = ins;
    return (ScX)b->n++;
}

ScX sc_x(ScBody *b, ScXOp op, ScX x, ScX y, ScX z)
{
    ScXIns ins = {.code = (uint8_t)op, .a = x, .b = y, .c = z};
    assert(facts[op].n_operand > 0 && x < b->n && y < b->n && z < b->n);
    switch (facts[op].type) {
    case 'F':
        ins.type = SC_XF;
        break;
    case 'I':
        ins.type = SC_XI;
        break;
    case 'B':
        ins.type = SC_XB;
        break;
    default:
        ins.type = b->ins[op == SC_X_SELECT ? y : x].type;
    }
    if (facts[op].n_operand < 3)
        ins.c = 0;
    if (facts[op].n_operand < 2)
        ins.b = 0;
    return append(b, ins);
}

ScX sc_x_in(ScBody *b, uint32_t operand, ScXType type)
{
    return append(b, (ScXIns){.code = SC_X_IN, .type = (uint8_t)type, .i = operand});
}

ScX sc_x_const(ScBody *b, double f)
{
    assert(b->compute != SCRT_F32 || f != f || (double)(float)f == f);
    return append(b, (ScXIns){.code = SC_X_CONST, .type = SC_XF, .f = f});
}

ScX sc_x_int(ScBody *b, int64_t i)
{
    return append(b, (ScXIns){.code = SC_X_ICONST, .type = SC_XI, .i = i});
}

ScX sc_x_term(ScBody *b, const ScTerm *t)
{
    int64_t c;
    uint32_t i = 0;
    if (sc_term_const(t, &c))
        return sc_x_int(b, c);
    while (i < b->n_term && b->term[i] != t)
        i++;
    if (i == b->n_term) {
        if (b->n_term == b->cap_term) {
            b->cap_term = b->cap_term ? 2 * b->cap_term : 4;
            const ScTerm **grown = sc_array(b->arena, const ScTerm *, b->cap_term);
            if (b->n_term)
                memcpy(grown, b->term, b->n_term * sizeof *grown);
            b->term = grown;
        }
        b->term[b->n_term++] = t;
    }
    return append(b, (ScXIns){.code = SC_X_TERM, .type = SC_XI, .i = i});
}

ScX sc_x_libm1(ScBody *b, ScrtLibm1 fn, ScX x)
{
    return append(b, (ScXIns){.code = SC_X_LIBM1, .type = SC_XF, .a = x, .i = fn});
}

ScX sc_x_libm2(ScBody *b, ScrtLibm2 fn, ScX x, ScX y)
{
    return append(b, (ScXIns){.code = SC_X_LIBM2, .type = SC_XF, .a = x, .b = y, .i = fn});
}

/* --- ldexp ----------------------------------------------------------------------------------- */

/* 2^e for a normal power of the compute type. */
static ScX power(ScBody *b, ScX e)
{
    bool wide = b->compute == SCRT_F64;
    if (b->ins[e].code == SC_X_ICONST)
        return sc_x_const(b, ldexp(1, (int)b->ins[e].i));
    ScX biased = sc_x(b, SC_X_ADD, e, sc_x_int(b, wide ? 1023 : 127), 0);
    return sc_x(b, SC_X_FLOAT, sc_x(b, SC_X_SHL, biased, sc_x_int(b, wide ? 52 : 23), 0), 0, 0);
}

/* Whether e is a term that is never beyond limit, either way. */
static bool is_normal_power(const ScBody *b, ScX e, int64_t limit)
{
    if (b->ins[e].code != SC_X_TERM || !b->g)
        return false;
    ScRange r = sc_term_range(b->g->cx, b->term[b->ins[e].i]);
    return r.lo >= -limit && r.hi <= limit;
}

/* One factor where 2^e is a normal number. Otherwise equal parts: a product before the last that
 * is subnormal or infinite, and so inexact, then has a final result that rounds to 0 or is
 * infinite, because each part is beyond 2^-42: no number is rounded twice. Three parts reach from
 * the largest number to below half the least. */
ScX sc_x_ldexp(ScBody *b, ScX x, ScX e)
{
    int64_t one = b->compute == SCRT_F64 ? 1022 : 126, limit = 3 * one;
    if (b->ins[e].code == SC_X_ICONST) {
        int64_t rest = b->ins[e].i;
        rest = rest > limit ? limit : rest < -limit ? -limit : rest;
        int64_t size = rest < 0 ? -rest : rest;
        for (int64_t parts = size == 0 ? 0 : (size + one - 1) / one; parts > 0; parts--) {
            int64_t part = rest / parts;
            x = sc_x(b, SC_X_MUL, x, power(b, sc_x_int(b, part)), 0);
            rest -= part;
        }
        return x;
    }
    if (is_normal_power(b, e, one))
        return sc_x(b, SC_X_MUL, x, power(b, e), 0);
    ScX zero = sc_x_int(b, 0);
    ScX least = sc_x_int(b, -limit), most = sc_x_int(b, limit);
    e = sc_x(b, SC_X_MIN, sc_x(b, SC_X_MAX, e, least, 0), most, 0);
    ScX fits = sc_x(b, SC_X_LE, sc_x(b, SC_X_ABS, e, 0, 0), sc_x_int(b, one), 0);
    ScX third = sc_x(b, SC_X_DIV, e, sc_x_int(b, 3), 0);
    ScX rest = sc_x(b, SC_X_SUB, e, third, 0);
    ScX half = sc_x(b, SC_X_SAR, rest, sc_x_int(b, 1), 0);
    ScX last = sc_x(b, SC_X_SUB, rest, half, 0);
    x = sc_x(b, SC_X_MUL, x, power(b, sc_x(b, SC_X_SELECT, fits, e, third)), 0);
    x = sc_x(b, SC_X_MUL, x, power(b, sc_x(b, SC_X_SELECT, fits, zero, half)), 0);
    return sc_x(b, SC_X_MUL, x, power(b, sc_x(b, SC_X_SELECT, fits, zero, last)), 0);
}

/* --- Interpreting ---------------------------------------------------------------------------- */

typedef union Value {
    double f;
    int64_t i; /* also truth values; wrapped to the integers' width */
} Value;

typedef struct Machine {
    const ScBody *b;
    const double *in;
    const ScBinding *env;
    uint32_t n_env, bits; /* bits of SC_XI */
    bool no_sign;
} Machine;

static ScrtDtype integer_type(const ScBody *b)
{
    if (b->integer != SCRT_DTYPE_NONE)
        return b->integer;
    return b->compute == SCRT_F32 ? SCRT_I32 : b->compute == SCRT_F64 ? SCRT_I64 : b->compute;
}

static int64_t wrap(const Machine *m, uint64_t x)
{
    if (m->bits >= 64)
        return (int64_t)x;
    uint64_t low = x & ((UINT64_C(1) << m->bits) - 1);
    bool negative = !m->no_sign && low >> (m->bits - 1);
    return (int64_t)(negative ? low - (UINT64_C(1) << m->bits) : low);
}

static double rounded(const Machine *m, double x)
{
    return m->b->compute == SCRT_F64 ? x : (double)(float)x;
}

static bool below(const Machine *m, int64_t x, int64_t y)
{
    return m->no_sign ? (uint64_t)x < (uint64_t)y : x < y;
}

static double libm1(int64_t fn, double x)
{
    static double (*const table[])(double) = {
#define SCRT_LIBM1(id, name) name,
#include "runtime/libm.def"
#undef SCRT_LIBM1
    };
    return table[fn](x);
}

static double libm2(int64_t fn, double x, double y)
{
    static double (*const table[])(double, double) = {
#define SCRT_LIBM2(id, name) name,
#include "runtime/libm.def"
#undef SCRT_LIBM2
    };
    return table[fn](x, y);
}

/* The bit pattern of the compute type, and back. */
static int64_t bits_of(const Machine *m, double x)
{
    int64_t i = 0;
    float narrow = (float)x;
    if (m->b->compute == SCRT_F64) {
        memcpy(&i, &x, sizeof i);
        return i;
    }
    int32_t half;
    memcpy(&half, &narrow, sizeof half);
    return half;
}

static double float_of(const Machine *m, int64_t i)
{
    double wide;
    float narrow;
    int32_t half = (int32_t)(uint32_t)(uint64_t)i;
    memcpy(&wide, &i, sizeof wide);
    memcpy(&narrow, &half, sizeof narrow);
    return m->b->compute == SCRT_F64 ? wide : narrow;
}

/* Sums, products and bounds of floats; each rounded once: f64 has more than twice the bits of f32,
 * so rounding its result again is the same. */
static double on_floats(const Machine *m, ScXOp op, double x, double y)
{
    switch (op) {
    case SC_X_ADD:
        return rounded(m, x + y);
    case SC_X_SUB:
        return rounded(m, x - y);
    case SC_X_MUL:
        return rounded(m, x * y);
    case SC_X_DIV:
    case SC_X_QUOTIENT:
        return rounded(m, x / y);
    case SC_X_NEG:
        return -x;
    case SC_X_ABS:
        return fabs(x);
    case SC_X_MIN:
        return x < y || x != x ? x : y;
    case SC_X_MAX:
        return x > y || x != x ? x : y;
    case SC_X_SCALE:
        return rounded(m, y == y ? ldexp(x, (int)y) : y);
    case SC_X_SQRT:
        return rounded(m, sqrt(x));
    case SC_X_ROUND:
        return rint(x);
    case SC_X_FLOOR:
        return floor(x);
    case SC_X_CEIL:
        return ceil(x);
    default:
        assert(!"no operation of floats");
        return 0;
    }
}

static int64_t on_ints(const Machine *m, ScXOp op, int64_t x, int64_t y)
{
    uint64_t u = (uint64_t)x, v = (uint64_t)y;
    uint64_t mask = m->bits >= 64 ? UINT64_MAX : (UINT64_C(1) << m->bits) - 1;
    switch (op) {
    case SC_X_ADD:
        return wrap(m, u + v);
    case SC_X_SUB:
        return wrap(m, u - v);
    case SC_X_MUL:
        return wrap(m, u * v);
    case SC_X_DIV:
        assert(y != 0 && !(x == INT64_MIN && y == -1));
        return m->no_sign ? (int64_t)(u / v) : x / y;
    case SC_X_NEG:
        return wrap(m, 0 - u);
    case SC_X_ABS:
        return wrap(m, below(m, x, 0) ? 0 - u : u);
    case SC_X_MIN:
        return below(m, x, y) ? x : y;
    case SC_X_MAX:
        return below(m, y, x) ? x : y;
    case SC_X_AND:
        return x & y;
    case SC_X_OR:
        return x | y;
    case SC_X_XOR:
        return x ^ y;
    case SC_X_NOT:
        return wrap(m, ~u);
    case SC_X_SHL:
        return wrap(m, u << v);
    case SC_X_SHR:
        return wrap(m, (u & mask) >> v);
    case SC_X_SAR:
        return wrap(m, (uint64_t)(x >> y));
    default:
        assert(!"no operation of integers");
        return 0;
    }
}

static bool compare(const Machine *m, ScXOp op, bool floats, Value x, Value y)
{
    if (floats)
        return op == SC_X_EQ ? x.f == y.f : op == SC_X_LT ? x.f < y.f : x.f <= y.f;
    return op == SC_X_EQ ? x.i == y.i : op == SC_X_LT ? below(m, x.i, y.i) : !below(m, y.i, x.i);
}

static Value leaf(const Machine *m, const ScXIns *p)
{
    int64_t i;
    switch ((ScXOp)p->code) {
    case SC_X_IN:
        if (p->type == SC_XF)
            return (Value){.f = m->in[p->i]};
        if (p->type == SC_XB)
            return (Value){.i = m->in[p->i] != 0};
        return (Value){.i = m->in[p->i] < 0x1p63 ? (int64_t)m->in[p->i]
                                                 : (int64_t)(uint64_t)m->in[p->i]};
    case SC_X_CONST:
        return (Value){.f = p->f};
    case SC_X_ICONST:
        return (Value){.i = wrap(m, (uint64_t)p->i)};
    default:
        if (!sc_term_eval(m->b->term[p->i], m->n_env, m->env, &i))
            assert(!"a term of the body has no value");
        return (Value){.i = wrap(m, (uint64_t)i)};
    }
}

static Value step(const Machine *m, const ScXIns *p, const Value *v)
{
    ScXType type = (ScXType)m->b->ins[p->a].type; /* of the first operand */
    switch ((ScXOp)p->code) {
    case SC_X_IN:
    case SC_X_CONST:
    case SC_X_ICONST:
    case SC_X_TERM:
        return leaf(m, p);
    case SC_X_SELECT:
        return v[p->a].i ? v[p->b] : v[p->c];
    case SC_X_EQ:
    case SC_X_LT:
    case SC_X_LE:
        return (Value){.i = compare(m, (ScXOp)p->code, type == SC_XF, v[p->a], v[p->b])};
    case SC_X_BITS:
        return (Value){.i = bits_of(m, v[p->a].f)};
    case SC_X_FLOAT:
        return (Value){.f = float_of(m, v[p->a].i)};
    case SC_X_TOINT:
        return (Value){.i = wrap(m, (uint64_t)(v[p->a].f < 0x1p63 ? (int64_t)v[p->a].f
                                                                  : (int64_t)(uint64_t)v[p->a].f))};
    case SC_X_TOFLOAT: {
        bool as_unsigned = m->no_sign && type == SC_XI;
        double wide = as_unsigned ? (double)(uint64_t)v[p->a].i : (double)v[p->a].i;
        float narrow = as_unsigned ? (float)(uint64_t)v[p->a].i : (float)v[p->a].i;
        return (Value){.f = m->b->compute == SCRT_F64 ? wide : (double)narrow};
    }
    case SC_X_LIBM1:
        return (Value){.f = rounded(m, libm1(p->i, v[p->a].f))};
    case SC_X_LIBM2:
        return (Value){.f = rounded(m, libm2(p->i, v[p->a].f, v[p->b].f))};
    default:
        if (type == SC_XF)
            return (Value){.f = on_floats(m, (ScXOp)p->code, v[p->a].f, v[p->b].f)};
        if (p->code == SC_X_NOT && type == SC_XB)
            return (Value){.i = !v[p->a].i};
        return (Value){.i = on_ints(m, (ScXOp)p->code, v[p->a].i, v[p->b].i)};
    }
}

double sc_body_run(const ScBody *b, ScX result, const double *in, uint32_t n_env,
                   const ScBinding *env)
{
    ScrtDtype integer = integer_type(b);
    Machine m = {
        b, in, env, n_env, scrt_dtype_bits(integer), scrt_dtype_kind(integer) == SCRT_KIND_UINT};
    Value few[128], *v = few;
    ScArena *a = NULL;
    if (b->n > 128) {
        a = sc_arena_new();
        v = sc_array(a, Value, b->n);
    }
    for (uint32_t i = 0; i <= result; i++)
        v[i] = step(&m, &b->ins[i], v);
    ScXType type = (ScXType)b->ins[result].type;
    double y = type == SC_XF                ? v[result].f
               : type == SC_XI && m.no_sign ? (double)(uint64_t)v[result].i
                                            : (double)v[result].i;
    sc_arena_free(a);
    return y;
}
