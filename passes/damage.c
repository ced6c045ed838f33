/* SPDX-License-Identifier: Apache-2.0 */
/* What the data of a graph looks like, beside a reference: the engine of `scalec check`. Each
 * sample runs through the reference, whose values are kept as the numbers they stand for, then
 * through the graph. Values are matched by name, outputs by place; a cast or rebalance without a
 * name is the stored form of its operand and is compared with what that is compared with.
 *
 * Two numbers tell a stored value's own rounding from what came before: it is compared with its own
 * operand as well. */
#include "passes/scale_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Sum { /* over all samples, of one value */
    uint64_t n, finite, under, saturated, compared;
    double sq, amax, signal, noise;
    double source, rounding; /* powers of the operand and of what rounding it made */
    uint64_t *octave;        /* [octaves(f)] of what is stored: see ScReport; NULL: not stored */
} Sum;

struct ScDamage {
    ScCtx *cx;
    const ScGraph *g, *ref;
    ScArena *arena;
    ScVal *twin;    /* [g->n_value] value of ref, or SC_ABSENT */
    ScVal *stored;  /* [g->n_value] the value whose stored form this is; itself otherwise */
    bool *ref_kept; /* [ref->n_value] */
    bool *rounds;   /* [g->n_value] a cast to fewer bits */
    bool *kept;     /* [g->n_value] operands of conversions into storage */
    double **ref_x; /* [ref->n_value] the present sample, from malloc */
    double **x;     /* [g->n_value] */
    Sum *sum;       /* [g->n_value] */
};

enum { ROOM = 4 }; /* octaves that are counted beyond a format's range, at either end */

static int first_octave(const ScrtFormat *f)
{
    return ilogb(f->min_denorm) - ROOM;
}

static uint32_t octaves(const ScrtFormat *f)
{
    return (uint32_t)(ilogb(f->max) + ROOM - first_octave(f) + 1);
}

/* x is in the units of format f. */
static void count_octave(Sum *s, const ScrtFormat *f, double x)
{
    int at = x != 0 && isfinite(x) ? ilogb(x) - first_octave(f) : 0, last = (int)octaves(f) - 1;
    if (x != 0 && isfinite(x))
        s->octave[at < 0 ? 0 : at > last ? last : at]++;
}

static bool is_float(const ScGraph *g, ScVal v)
{
    return v >= SC_FIRST && sc_type_is_float(sc_type_of(g, v));
}

static bool is_const(const ScGraph *g, ScVal v)
{
    return sc_def(g, v)->op->flags & SC_CONST_OP;
}

typedef struct Named {
    const char *name;
    ScVal v;
} Named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

/* The same numbers as operand 0, at another exponent or in another type. */
static bool is_stored_form(const ScNode *n)
{
    return n->op->flags & (SC_REBALANCES | SC_CONVERTS);
}

static void match(ScDamage *d)
{
    Named *table = sc_array(d->arena, Named, d->ref->n_value);
    uint32_t n = 0;
    for (ScVal v = SC_FIRST; v < d->ref->n_value; v++)
        if (is_float(d->ref, v) && d->ref->value[v].name)
            table[n++] = (Named){d->ref->value[v].name, v};
    qsort(table, n, sizeof *table, by_name);
    for (ScVal v = SC_FIRST; v < d->g->n_value; v++) {
        const ScNode *def = sc_def(d->g, v);
        Named key = {.name = d->g->value[v].name};
        if (!is_float(d->g, v))
            continue;
        const Named *hit = key.name && n ? bsearch(&key, table, n, sizeof *table, by_name) : NULL;
        if (hit)
            d->twin[v] = hit->v;
        else if (is_stored_form(def) && is_float(d->g, def->in[0]))
            d->twin[v] = d->twin[def->in[0]];
    }
    for (uint32_t i = 0; i < d->g->n_out && i < d->ref->n_out; i++)
        if (is_float(d->g, d->g->out[i]) && is_float(d->ref, d->ref->out[i]))
            d->twin[d->g->out[i]] = d->ref->out[i];
    for (ScVal v = SC_FIRST; v < d->g->n_value; v++)
        if (d->twin[v] != SC_ABSENT)
            d->ref_kept[d->twin[v]] = true;
}

/* The session's: the report has it. */
static uint64_t *of_octaves(const ScDamage *d, ScVal v)
{
    const ScrtFormat *f = scrt_format(sc_type_of(d->g, v)->dtype);
    return f ? sc_array(sc_ctx_arena(d->cx), uint64_t, octaves(f)) : NULL;
}

ScDamage *sc_damage_begin(ScCtx *cx, const ScGraph *g, const ScGraph *ref)
{
    ScArena *a = sc_arena_new();
    ScDamage *d = sc_new(a, ScDamage);
    *d = (ScDamage){.cx = cx,
                    .g = g,
                    .ref = ref,
                    .arena = a,
                    .twin = sc_array(a, ScVal, g->n_value),
                    .stored = sc_array(a, ScVal, g->n_value),
                    .rounds = sc_array(a, bool, g->n_value),
                    .kept = sc_array(a, bool, g->n_value),
                    .x = sc_array(a, double *, g->n_value),
                    .sum = sc_array(a, Sum, g->n_value)};
    for (ScVal v = 0; v < g->n_value; v++) {
        d->twin[v] = SC_ABSENT;
        d->stored[v] = v;
        const ScNode *def = v >= SC_FIRST ? sc_def(g, v) : NULL;
        if (def && is_stored_form(def) && is_float(g, v) && is_float(g, def->in[0])) {
            d->stored[v] = d->stored[def->in[0]];
            d->kept[def->in[0]] = true;
            d->rounds[v] = scrt_dtype_bits(sc_type_of(g, v)->dtype) <
                           scrt_dtype_bits(sc_type_of(g, def->in[0])->dtype);
            if (d->rounds[v])
                d->sum[v].octave = of_octaves(d, v);
        }
    }
    if (ref) {
        d->ref_kept = sc_array(a, bool, ref->n_value);
        d->ref_x = sc_array(a, double *, ref->n_value);
        match(d);
    }
    return d;
}

static int within(int64_t e)
{
    return e > 4096 ? 4096 : e < -4096 ? -4096 : (int)e;
}

/* The data of t times 2^e, from malloc: out of memory ends in the hook of arenas. */
static double *numbers(const ScrtTensor *t, int e)
{
    int64_t n = scrt_count(t);
    uint32_t cap = 0;
    double *x = NULL;
    while (cap < n)
        x = sc_buf_grow(x, &cap, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = ldexp(scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i), e);
    return x;
}

static void see_ref(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                    uint32_t depth)
{
    ScDamage *d = arg;
    (void)g;
    if (depth == 0 && d->ref_kept[v])
        d->ref_x[v] = numbers(t, within(exp));
}

/* Compares one element, x as stored, with the number it should stand for. */
static void compare(Sum *s, double x, int e, double want)
{
    double got = ldexp(x, e);
    if (!isfinite(want))
        return;
    s->compared++;
    if (!isfinite(got))
        got = INFINITY; /* no number where there was one: no noise is larger */
    s->signal += want * want;
    s->noise += (got - want) * (got - want);
}

static void measure(Sum *s, const ScrtFormat *f, double x, double source)
{
    bool low = f && f->bits <= 16;
    s->n++;
    if (isfinite(x)) {
        s->finite++;
        s->sq += x * x;
        s->amax = fabs(x) > s->amax ? fabs(x) : s->amax;
    }
    s->under += low && x == 0 && source != 0 && !isnan(source);
    s->saturated += low && fabs(x) == f->max && fabs(source) > f->max;
}

static void see(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                uint32_t depth)
{
    ScDamage *d = arg;
    if (depth > 0 || !is_float(g, v) || is_const(g, v))
        return;
    int e = within(exp);
    int64_t n = scrt_count(t);
    const ScNode *def = sc_def(g, v);
    const double *source = d->stored[v] == v ? NULL : d->x[def->in[0]];
    const double *want = d->twin[v] == SC_ABSENT ? NULL : d->ref_x[d->twin[v]];
    const ScrtFormat *f = scrt_format((ScrtDtype)t->dtype);
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
        measure(&d->sum[v], f, x, source ? ldexp(source[i], -e) : x);
        if (source && isfinite(source[i]) && d->rounds[v]) {
            double off = ldexp(x, e) - source[i];
            d->sum[v].source += source[i] * source[i];
            d->sum[v].rounding += off * off;
            count_octave(&d->sum[v], f, ldexp(source[i], -e));
        }
        if (want)
            compare(&d->sum[v], x, e, want[i]);
    }
    if (d->kept[v])
        d->x[v] = numbers(t, e);
}

static bool run(const ScGraph *g, const ScrtTensor *in, const ScEvalOptions *opt)
{
    ScArena *a = sc_arena_new();
    ScrtTensor *out = sc_array(a, ScrtTensor, g->n_out + 1);
    bool ok = sc_eval(g, in, out, opt);
    for (uint32_t i = 0; ok && i < g->n_out; i++)
        scrt_free(out[i].data);
    sc_arena_free(a);
    return ok;
}

static void forget(double **x, uint32_t n)
{
    for (uint32_t i = 0; x && i < n; i++) {
        sc_buf_free(x[i]);
        x[i] = NULL;
    }
}

bool sc_damage_add(ScDamage *d, const ScrtTensor *in)
{
    ScEvalOptions ref = {.see = see_ref, .arg = d}, own = {.see = see, .arg = d};
    if (!sc_sample_speaks(d->cx, d->g, in))
        return false;
    SC_STAGE(d->cx, "sample");
    sc_stage_share(d->cx, 0, d->ref ? 2 : 1);
    bool ok = !d->ref || run(d->ref, in, &ref);
    if (d->ref)
        sc_stage_share(d->cx, 1, 2);
    ok = ok && run(d->g, in, &own);
    if (d->ref)
        forget(d->ref_x, d->ref->n_value);
    forget(d->x, d->g->n_value);
    return ok;
}

/* A constant in low precision is compared with its blob. */
static void measure_constant(ScDamage *d, ScVal v)
{
    const ScBlob *b = sc_def(d->g, v)->attr[0].blob;
    const ScType *t = sc_type_of(d->g, v);
    const ScrtFormat *f = scrt_format(t->dtype);
    int64_t exp = 0;
    if (d->g->value[v].exp)
        sc_term_const(d->g->value[v].exp, &exp);
    int e = within(exp);
    ScrtTensor data;
    if (!f || f->bits > 16 || (t->dtype == b->dtype && !b->from) || !sc_blob_tensor(b, t, e, &data))
        return;
    const ScBlob *from = b->from ? b->from : b;
    d->sum[v].octave = of_octaves(d, v);
    for (size_t i = 0; i < b->count; i++) {
        double x = scrt_load(t->dtype, data.data, i), want = scrt_load(from->dtype, from->data, i);
        want /= b->unit ? (double)b->unit[i / b->inner % b->n_unit] : 1;
        measure(&d->sum[v], f, x, ldexp(want, -e));
        compare(&d->sum[v], x, e, want);
        count_octave(&d->sum[v], f, ldexp(want, -e));
    }
    d->rounds[v] = true;
    d->sum[v].source = d->sum[v].signal;
    d->sum[v].rounding = d->sum[v].noise;
    scrt_free(data.data);
}

static double decibels(double signal, double noise)
{
    return noise == 0 ? (double)INFINITY : 10 * log10(signal / noise);
}

static ScReport report(const ScDamage *d, const char *const *label, ScVal v)
{
    const Sum *s = &d->sum[v];
    const ScValue *val = &d->g->value[v];
    const ScNode *def = sc_def(d->g, v);
    ScVal origin = d->stored[v];
    const char *name = val->name ? val->name : d->g->value[origin].name;
    double rms = s->finite ? sqrt(s->sq / (double)s->finite) : 0;
    const ScrtFormat *f = scrt_format(val->type->dtype);
    bool narrow = f && f->exp_bits < 8;
    return (ScReport){
        .v = v,
        .name = sc_intern(d->cx, name ? name : label[v]),
        .loc = def->loc,
        .type = val->type,
        .exp = val->exp,
        .rms = rms,
        .amax = s->amax,
        .underflow = s->n ? (double)s->under / (double)s->n : 0,
        .saturated = s->n ? (double)s->saturated / (double)s->n : 0,
        .sqnr = s->compared == 0 ? (double)NAN : decibels(s->signal, s->noise),
        .rounding = d->rounds[v] ? decibels(s->source, s->rounding) : (double)NAN,
        .octave = s->octave,
        .n_octave = s->octave ? octaves(f) : 0,
        .octave_first = s->octave ? first_octave(f) : 0,
        .outside = narrow && rms > 0 && (rms < 16 * f->min_normal || s->saturated > 0),
    };
}

const ScReport *sc_damage_end(ScDamage *d, uint32_t *ret_n)
{
    const char *const *label = sc_labels(d->g, d->arena);
    ScReport *r = sc_array(sc_ctx_arena(d->cx), ScReport, d->g->n_value);
    uint32_t n = 0;
    for (ScVal v = SC_FIRST; v < d->g->n_value; v++) {
        if (!is_float(d->g, v))
            continue;
        if (is_const(d->g, v))
            measure_constant(d, v);
        if (d->sum[v].n > 0)
            r[n++] = report(d, label, v);
    }
    sc_arena_free(d->arena);
    *ret_n = n;
    return r;
}
