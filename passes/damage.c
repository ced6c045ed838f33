/* SPDX-License-Identifier: Apache-2.0 */
/* What the data of a graph looks like, beside a reference: the engine of `scalec check`. Each
 * sample runs through the reference, whose values are kept as the numbers they stand for, then
 * through the graph. Values are matched by name (of several, by their place among them), outputs by
 * place; a cast or rebalance without a name is the stored form of its operand and is compared with
 * what that is compared with.
 *
 * Graphs that are nested in it have parts of their own, beside those of the reference that the same
 * node has. What a part of the reference saw is kept turn by turn, and turns are compared in their
 * order: where the two take other ways, the numbers say so.
 *
 * Two numbers tell a stored value's own rounding from what came before: it is compared with its own
 * operand as well, and where it was divided by a factor before, that is multiplied back. The same
 * operand is also rounded without the factor, which tells what that gains. */
#include "passes/scale_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Sum { /* over all samples, of one value */
    uint64_t n, finite, under, saturated, compared;
    double sq, amax, signal, noise;
    double source, rounding; /* powers of the operand and of what rounding it made */
    double unfactored;       /* what rounding would have made without a factor */
    bool has_factor;
    uint64_t *octave; /* [octaves(f)] of what is stored: see ScReport; NULL: not stored */
    uint32_t turn;    /* of the present sample */
    int64_t last;     /* elements in the last turn */
} Sum;

typedef struct Turn {
    double *x; /* [n], from malloc */
    int64_t n;
} Turn;

/* A value of the reference in the present sample: of a nested graph, in each of its turns. */
typedef struct Turns {
    Turn *turn;
    uint32_t n, cap;
} Turns;

typedef struct Part {       /* the graph or one nested in it, and what the reference has for it */
    const ScGraph *g, *ref; /* ref: NULL where there is none */
    const ScLevel *level;
    ScVal *twin;    /* [g->n_value] value of ref, or SC_ABSENT */
    ScVal *stored;  /* [g->n_value] the value whose stored form this is; itself otherwise */
    double *by;     /* [g->n_value] what its numbers were divided by since they had a name */
    bool *ref_kept; /* [ref->n_value] */
    bool *rounds;   /* [g->n_value] a cast to fewer bits */
    bool *kept;     /* [g->n_value] operands of conversions into storage */
    Turns *ref_x;   /* [ref->n_value] */
    double **x;     /* [g->n_value] the last turn's */
    Sum *sum;       /* [g->n_value] */
} Part;

struct ScDamage {
    ScCtx *cx;
    const ScGraph *g, *ref;
    ScArena *arena;
    Part *part; /* [n_part] g first */
    uint32_t n_part, last;
    int64_t room; /* elements of nested graphs that may still be kept of this sample */
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

/* Elements of all turns of nested graphs, 256 MB: turns behind them are not compared. */
#define NESTED_ROOM ((int64_t)1 << 25)

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

/* The value that v is the stored form of, the same numbers at another exponent or in another type,
 * or rounded in blocks; else SC_ABSENT. */
static ScVal source_of(const ScGraph *g, ScVal v)
{
    const ScNode *n = sc_def(g, v);
    ScVal blocks = sc_rounded_in_blocks(g, v);
    ScVal ret = n->op->flags & (SC_REBALANCES | SC_CONVERTS) ? n->in[0] : blocks;
    return is_float(g, v) && is_float(g, ret) ? ret : SC_ABSENT;
}

/* A product without a name with a number in [1/2, 1). */
double sc_divided_by(const ScGraph *g, ScVal y)
{
    const ScNode *n = sc_def(g, y);
    if (g->value[y].name || n->op != &sc_op_mul || !is_const(g, n->in[1]))
        return 1;
    const ScBlob *b = sc_def(g, n->in[1])->attr[0].blob;
    double by = b->count == 1 ? scrt_load(b->dtype, b->data, 0) : 0;
    return by >= 0.5 && by < 1 ? 1 / by : 1;
}

/* The value whose numbers v has, or has divided by a factor; else SC_ABSENT. */
static ScVal undivided(const ScGraph *g, ScVal v)
{
    return sc_divided_by(g, v) > 1 ? sc_def(g, v)->in[0] : source_of(g, v);
}

ScVal sc_stored_of(const ScGraph *g, ScVal v)
{
    while (v >= SC_FIRST && !g->value[v].name) {
        ScVal x = undivided(g, v);
        if (x == SC_ABSENT)
            break;
        v = x;
    }
    return v;
}

static void match(ScArena *a, Part *p)
{
    Named *table = sc_array(a, Named, p->ref->n_value);
    const char *const *label = sc_labels(p->g, a), *const *of_ref = sc_labels(p->ref, a);
    uint32_t n = 0;
    for (ScVal v = SC_FIRST; v < p->ref->n_value; v++)
        if (is_float(p->ref, v) && p->ref->value[v].name)
            table[n++] = (Named){of_ref[v], v};
    qsort(table, n, sizeof *table, by_name);
    for (ScVal v = SC_FIRST; v < p->g->n_value; v++) {
        ScVal source = undivided(p->g, v);
        Named key = {.name = p->g->value[v].name ? label[v] : NULL};
        if (!is_float(p->g, v))
            continue;
        const Named *hit = key.name && n ? bsearch(&key, table, n, sizeof *table, by_name) : NULL;
        if (hit)
            p->twin[v] = hit->v;
        else if (source != SC_ABSENT)
            p->twin[v] = p->twin[source];
    }
    for (uint32_t i = 0; i < p->g->n_out && i < p->ref->n_out; i++)
        if (is_float(p->g, p->g->out[i]) && is_float(p->ref, p->ref->out[i]))
            p->twin[p->g->out[i]] = p->ref->out[i];
    for (ScVal v = SC_FIRST; v < p->g->n_value; v++)
        if (p->twin[v] != SC_ABSENT)
            p->ref_kept[p->twin[v]] = true;
}

/* The nested graph of ref, or NULL, that is number `sub` of the node that is there what node n is
 * in g: of the same row and location, counted among those. */
static const ScGraph *same_nested(const ScGraph *g, const ScGraph *ref, uint32_t n, uint32_t sub)
{
    const ScNode *x = &g->node[n];
    uint32_t before = 0;
    for (uint32_t i = 0; i < n; i++)
        before += g->node[i].op == x->op && g->node[i].loc == x->loc;
    for (uint32_t i = 0; ref && i < ref->n_node; i++) {
        const ScNode *y = &ref->node[i];
        if (y->op == x->op && y->loc == x->loc && before-- == 0)
            return sub < y->op->n_sub ? y->sub[sub] : NULL;
    }
    return NULL;
}

/* The session's: the report has it. */
static uint64_t *of_octaves(const ScGraph *g, ScVal v)
{
    const ScrtFormat *f = scrt_format(sc_type_of(g, v)->dtype);
    return f ? sc_array(sc_ctx_arena(g->cx), uint64_t, octaves(f)) : NULL;
}

static void begin_part(ScArena *a, const ScLevel *level, const ScGraph *ref, Part *p)
{
    const ScGraph *g = level->g;
    *p = (Part){.g = g,
                .ref = ref,
                .level = level,
                .twin = sc_array(a, ScVal, g->n_value),
                .stored = sc_array(a, ScVal, g->n_value),
                .by = sc_array(a, double, g->n_value),
                .rounds = sc_array(a, bool, g->n_value),
                .kept = sc_array(a, bool, g->n_value),
                .x = sc_array(a, double *, g->n_value),
                .sum = sc_array(a, Sum, g->n_value)};
    for (ScVal v = 0; v < g->n_value; v++) {
        p->twin[v] = SC_ABSENT;
        p->stored[v] = v;
        ScVal source = v >= SC_FIRST ? source_of(g, v) : SC_ABSENT;
        ScVal whole = v >= SC_FIRST && !g->value[v].name ? undivided(g, v) : SC_ABSENT;
        p->by[v] = whole == SC_ABSENT ? 1 : p->by[whole] * sc_divided_by(g, v);
        ScVal rows = v >= SC_FIRST ? sc_rounded_by_rows(g, v) : SC_ABSENT;
        if (rows != SC_ABSENT)
            p->kept[rows] = p->kept[v] = p->rounds[v] = true;
        if (source != SC_ABSENT) {
            bool blocks = sc_rounded_in_blocks(g, v) != SC_ABSENT;
            p->stored[v] = p->stored[source];
            p->kept[source] = true;
            p->rounds[v] = blocks || scrt_dtype_bits(sc_type_of(g, v)->dtype) <
                                         scrt_dtype_bits(sc_type_of(g, source)->dtype);
            p->sum[v].octave = p->rounds[v] && !blocks ? of_octaves(g, v) : NULL;
        }
    }
    if (ref) {
        p->ref_kept = sc_array(a, bool, ref->n_value);
        p->ref_x = sc_array(a, Turns, ref->n_value);
        match(a, p);
    }
}

ScDamage *sc_damage_begin(ScCtx *cx, const ScGraph *g, const ScGraph *ref)
{
    ScArena *a = sc_arena_new();
    ScDamage *d = sc_new(a, ScDamage);
    *d = (ScDamage){.cx = cx, .g = g, .ref = ref, .arena = a};
    const ScLevel *l = sc_levels(g, a, &d->n_part);
    d->part = sc_array(a, Part, d->n_part);
    for (uint32_t i = 0; i < d->n_part; i++) {
        const Part *outer = i ? &d->part[l[i].outer] : NULL;
        begin_part(a, &l[i], i ? same_nested(outer->g, outer->ref, l[i].node, l[i].sub) : ref,
                   &d->part[i]);
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

/* The part of g, or of the reference's g; NULL where it is of none, as an expansion is. */
static Part *part_of(ScDamage *d, const ScGraph *g, bool ref)
{
    for (uint32_t i = 0; i < d->n_part; i++) {
        Part *p = &d->part[(d->last + i) % d->n_part];
        if ((ref ? p->ref : p->g) == g) {
            d->last = (uint32_t)(p - d->part);
            return p;
        }
    }
    return NULL;
}

static void see_ref(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                    uint32_t depth)
{
    ScDamage *d = arg;
    Part *p = part_of(d, g, true);
    int64_t n = scrt_count(t);
    if (!p || !p->ref_kept[v] || (depth > 0 && n > d->room))
        return;
    d->room -= depth > 0 ? n : 0;
    Turns *r = &p->ref_x[v];
    sc_buf_push(r->turn, r->n, r->cap, ((Turn){numbers(t, within(exp)), n}));
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

/* What v is rounded to: of values in blocks, their codes. */
static const ScType *stored_as(const ScGraph *g, ScVal v)
{
    bool blocks = sc_rounded_in_blocks(g, v) != SC_ABSENT;
    return sc_type_of(g, blocks ? sc_def(g, v)->in[0] : v);
}

/* Adds what rounding makes of x, which was divided by factor `by`, without that factor. x is in the
 * units of format f; of a block, whose own scale keeps all of it above the subnormals. */
static void add_unfactored(Sum *s, const ScrtFormat *f, bool block, double x, double by, int e)
{
    double y = x * by, least = block ? 0 : f->min_normal, at = fmax(fabs(y), least);
    double step = at > 0 ? ldexp(1, ilogb(at) - (int)f->man_bits) : 1;
    double off = ldexp((rint(y / step) * step - y) / by, e);
    s->unfactored += off * off;
    s->has_factor = s->has_factor || by > 1;
}

/* What the reference has for value v in this turn, or NULL. */
static const double *wanted(Part *p, ScVal v, int64_t n)
{
    Turns *r = p->twin[v] == SC_ABSENT ? NULL : &p->ref_x[p->twin[v]];
    uint32_t at = p->sum[v].turn++;
    return r && at < r->n && r->turn[at].n == n ? r->turn[at].x : NULL;
}

/* The codes of n's rows when their scales, at 2^e, are at hand. */
static void measure_rows(Part *p, const ScNode *n, const ScrtTensor *scale, int e)
{
    Sum *s = &p->sum[n->first];
    const double *x = p->x[n->in[0]], *code = p->x[n->first];
    int64_t rows = scrt_count(scale), width = rows > 0 ? s->last / rows : 0;
    if (is_const(p->g, n->in[0])) /* its numbers are not seen */
        return;
    for (int64_t i = 0; i < rows * width; i++) {
        double by = scrt_load((ScrtDtype)scale->dtype, scale->data, (size_t)(i / width));
        double off = code[i] * ldexp(by, e) - x[i];
        if (!isfinite(x[i]))
            continue;
        s->source += x[i] * x[i];
        s->rounding += off * off;
    }
}

static void see(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                uint32_t depth)
{
    Part *p = part_of(arg, g, false);
    (void)depth;
    if (!p || !is_float(g, v) || is_const(g, v))
        return;
    int e = within(exp);
    int64_t n = scrt_count(t);
    Sum *s = &p->sum[v];
    const double *source = p->stored[v] == v ? NULL : p->x[source_of(g, v)];
    const double *want = wanted(p, v, n);
    const ScrtFormat *f = scrt_format((ScrtDtype)t->dtype),
                     *as = scrt_format(stored_as(g, v)->dtype);
    bool block = as != f;
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
        measure(s, f, x, source ? ldexp(source[i], -e) : x);
        if (source && isfinite(source[i]) && p->rounds[v]) {
            double off = ldexp(x, e) - source[i];
            s->source += source[i] * source[i];
            s->rounding += off * off;
            if (p->by[v] > 1)
                add_unfactored(s, as, block, ldexp(source[i], -e), p->by[v], e);
            if (s->octave)
                count_octave(s, f, ldexp(source[i], -e));
        }
        if (want)
            compare(s, x * p->by[v], e, want[i]);
    }
    s->last = n;
    const ScNode *def = sc_def(g, v);
    if (v == def->first + 1 && sc_rounded_by_rows(g, def->first) != SC_ABSENT)
        measure_rows(p, def, t, e);
    if (p->kept[v]) {
        sc_buf_free(p->x[v]);
        p->x[v] = numbers(t, e);
    }
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

static void forget(ScDamage *d)
{
    for (uint32_t i = 0; i < d->n_part; i++) {
        Part *p = &d->part[i];
        for (ScVal v = 0; v < p->g->n_value; v++) {
            sc_buf_free(p->x[v]);
            p->x[v] = NULL;
            p->sum[v].turn = 0;
        }
        for (ScVal v = 0; p->ref && v < p->ref->n_value; v++) {
            Turns *r = &p->ref_x[v];
            for (uint32_t k = 0; k < r->n; k++)
                sc_buf_free(r->turn[k].x);
            sc_buf_free(r->turn);
            *r = (Turns){0};
        }
    }
}

bool sc_damage_add(ScDamage *d, const ScrtTensor *in)
{
    ScEvalOptions ref = {.see = see_ref, .arg = d}, own = {.see = see, .arg = d};
    if (!sc_sample_speaks(d->cx, d->g, in))
        return false;
    SC_STAGE(d->cx, "sample");
    sc_stage_share(d->cx, 0, d->ref ? 2 : 1);
    d->room = NESTED_ROOM;
    bool ok = !d->ref || run(d->ref, in, &ref);
    if (d->ref)
        sc_stage_share(d->cx, 1, 2);
    ok = ok && run(d->g, in, &own);
    forget(d);
    return ok;
}

/* A constant in low precision is compared with its blob. */
static void measure_constant(Part *p, ScVal v)
{
    const ScBlob *b = sc_def(p->g, v)->attr[0].blob;
    const ScType *t = sc_type_of(p->g, v);
    const ScrtFormat *f = scrt_format(t->dtype);
    int64_t exp = 0;
    if (p->g->value[v].exp)
        sc_term_const(p->g->value[v].exp, &exp);
    int e = within(exp);
    ScrtTensor data;
    if (!f || f->bits > 16 || (t->dtype == b->dtype && !b->from) || !sc_blob_tensor(b, t, e, &data))
        return;
    const ScBlob *from = b->from ? b->from : b;
    p->sum[v].octave = of_octaves(p->g, v);
    for (size_t i = 0; i < b->count; i++) {
        double x = scrt_load(t->dtype, data.data, i), want = scrt_load(from->dtype, from->data, i);
        double unit = sc_blob_unit(b, i);
        want /= unit;
        add_unfactored(&p->sum[v], f, b->block > 0, ldexp(want, -e), ldexp(unit, -ilogb(unit)), e);
        measure(&p->sum[v], f, x, ldexp(want, -e));
        compare(&p->sum[v], x, e, want);
        count_octave(&p->sum[v], f, ldexp(want, -e));
    }
    p->rounds[v] = true;
    p->sum[v].source = p->sum[v].signal;
    p->sum[v].rounding = p->sum[v].noise;
    scrt_free(data.data);
}

static double decibels(double signal, double noise)
{
    return noise == 0 ? (double)INFINITY : 10 * log10(signal / noise);
}

/* The name of v, and which one of those it is that have it; where it has none, a number. */
static const char *shown(const ScGraph *g, const char *const *label, ScVal v, ScArena *a)
{
    const char *name = g->value[v].name;
    const char *nth = strrchr(label[v], '~'), *quote = strrchr(label[v], '"');
    return !name ? label[v] : !nth || nth < quote ? name : sc_printf(a, "%s%s", name, nth);
}

static ScReport report(const ScDamage *d, const Part *p, const char *const *label, ScVal v)
{
    const Sum *s = &p->sum[v];
    const ScValue *val = &p->g->value[v];
    const ScNode *def = sc_def(p->g, v);
    ScVal rows = sc_rounded_by_rows(p->g, v);
    ScVal origin = sc_stored_of(p->g, p->stored[rows == SC_ABSENT ? v : rows]);
    ScVal named = val->name || !p->g->value[origin].name ? v : origin;
    double rms = s->finite ? sqrt(s->sq / (double)s->finite) : 0;
    const ScrtFormat *f = scrt_format(val->type->dtype);
    bool narrow = f && f->exp_bits < 8;
    return (ScReport){
        .v = p->level->first + v,
        .name = sc_intern(d->cx, sc_printf(d->arena, "%s%s", p->level->prefix,
                                           shown(p->g, label, named, d->arena))),
        .loc = def->loc,
        .type = stored_as(p->g, v),
        .exp = val->exp,
        .g = val->g,
        .constant = is_const(p->g, v),
        .rms = rms,
        .amax = s->amax,
        .underflow = s->n ? (double)s->under / (double)s->n : 0,
        .saturated = s->n ? (double)s->saturated / (double)s->n : 0,
        .sqnr = s->compared == 0 ? (double)NAN : decibels(s->signal, s->noise),
        .rounding = p->rounds[v] ? decibels(s->source, s->rounding) : (double)NAN,
        .factor = s->has_factor ? decibels(s->unfactored, s->rounding) : (double)NAN,
        .octave = s->octave,
        .n_octave = s->octave ? octaves(f) : 0,
        .octave_first = s->octave ? first_octave(f) : 0,
        .outside = narrow && rms > 0 && (rms < 16 * f->min_normal || s->saturated > 0),
    };
}

const ScReport *sc_damage_end(ScDamage *d, uint32_t *ret_n)
{
    uint32_t n = 0;
    ScReport *r = sc_array(sc_ctx_arena(d->cx), ScReport, sc_count_values(d->g));
    for (uint32_t i = 0; i < d->n_part; i++) {
        Part *p = &d->part[i];
        const char *const *label = sc_labels(p->g, d->arena);
        for (ScVal v = SC_FIRST; v < p->g->n_value; v++) {
            if (!is_float(p->g, v))
                continue;
            if (is_const(p->g, v))
                measure_constant(p, v);
            if (p->sum[v].n > 0)
                r[n++] = report(d, p, label, v);
        }
    }
    sc_arena_free(d->arena);
    *ret_n = n;
    return r;
}
