/* SPDX-License-Identifier: Apache-2.0 */
/* What rounded weights add on average. The errors of weights stay the same from input to input:
 * where the mean of each channel that they are multiplied by is known, so is by how much they move
 * the mean of each channel of the result, and a bias takes it back. Means are measured with the
 * other statistics, of values that products with constant weights sum. */
#include "passes/scale_priv.h"

#include <math.h>
#include <string.h>

bool sc_summed_axis(const ScGraph *g, const ScNode *n, ScSummed *ret)
{
    int64_t dim[SCRT_MAX_RANK];
    *ret = (ScSummed){.group = 1};
    if (n->n_in < 2 || n->in[0] < SC_FIRST || !sc_type_is_float(sc_type_of(g, n->in[0])) ||
        !sc_type_const_dims(sc_type_of(g, n->in[1]), dim))
        return false;
    if (n->op->contract) {
        ScContract c;
        n->op->contract(g, n, &c);
        ret->behind = c.trans_a;
        ret->n = dim[c.trans_b];
        return !c.block && sc_type_of(g, n->in[1])->rank == 2 &&
               sc_type_of(g, n->in[0])->rank > ret->behind;
    }
    if (!n->op->conv)
        return false;
    ScConv c;
    n->op->conv(g, n, &c);
    ret->behind = c.window.n_spatial;
    ret->group = c.group;
    ret->n = c.group * dim[1];
    return !c.window.channels_last && dim[0] % c.group == 0;
}

const ScSummed *sc_summed_values(const ScGraph *g, ScArena *a)
{
    ScSummed *ret = sc_array(a, ScSummed, g->n_value), s;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (sc_summed_axis(g, n, &s) && ret[n->in[0]].n == 0 &&
            sc_def(g, n->in[1])->op->flags & SC_CONST_OP)
            ret[n->in[0]] = s;
    }
    return ret;
}

const ScMeans *sc_means(ScCtx *cx, const ScSummed *s, const double *x)
{
    ScMeans *ret = sc_new(sc_ctx_arena(cx), ScMeans);
    float *y = sc_array(sc_ctx_arena(cx), float, (size_t)s->n);
    for (int64_t c = 0; c < s->n; c++)
        y[c] = (float)scrt_value(SCRT_BF16, scrt_round(SCRT_BF16, x[c], true, SCRT_NEAREST));
    *ret = (ScMeans){(uint32_t)s->n, s->behind, y};
    return ret;
}

/* --- Weights by tensor and by channel -------------------------------------------------------- */

/* How many of the results along one axis have their window begin before element x. */
static int64_t windows_before(int64_t x, int64_t stride, int64_t results)
{
    int64_t n = x > 0 ? (x - 1) / stride + 1 : 0;
    return n < results ? n : results;
}

/* For what part of the results along one axis tap i of a window lies on an element, not on padding.
 */
static double taps_inside(const ScWindow *w, uint32_t d, int64_t i, int64_t extent, int64_t results,
                          int64_t pad)
{
    int64_t first = pad - i * w->dilation[d], stride = w->stride[d];
    int64_t inside =
        windows_before(first + extent, stride, results) - windows_before(first, stride, results);
    return (double)inside / (double)results;
}

/* Of each element of a filter's kernel the share of results for which it meets no padding, [count];
 * 1 along an axis whose extent is not known. */
static const double *shares(ScScaler *s, const ScNode *n, size_t count)
{
    double *ret = sc_array(s->scratch, double, count);
    for (size_t k = 0; k < count; k++)
        ret[k] = 1;
    if (!n->op->conv)
        return ret;
    ScConv c;
    n->op->conv(s->g, n, &c);
    const ScType *x = sc_type_of(s->g, n->in[0]), *y = sc_type_of(s->g, n->first);
    size_t behind = 1;
    for (uint32_t d = c.window.n_spatial; d-- > 0;) {
        int64_t extent, results, pad, kernel = c.window.kernel[d];
        bool known = sc_term_const(x->dim[2 + d], &extent) &&
                     sc_term_const(y->dim[2 + d], &results) && results > 0 &&
                     sc_term_const(c.window.pad_begin[d], &pad);
        for (size_t k = 0; known && k < count; k++)
            ret[k] *=
                taps_inside(&c.window, d, (int64_t)(k / behind) % kernel, extent, results, pad);
        behind *= (size_t)kernel;
    }
    return ret;
}

/* A weight while it is found what its rounding adds. */
typedef struct Moving {
    ScStrips s;
    size_t each, kernel;  /* channels that one output channel sums, elements for each */
    size_t a_group;       /* output channels */
    const double *share;  /* [kernel] */
    const ScMeans *means; /* of the channels of operand 0 */
    const float *unit;    /* [channels]; NULL: */
    double whole;         /* all are divided by it */
    ScrtDtype fmt;
    const unsigned char *code; /* NULL: not made yet */
    double value[256];         /* of each code */
    double *moved;             /* [channels] */
} Moving;

/* What the elements of a run are multiplied with, on average: means of channels of operand 0, or of
 * padding. */
static void met(const Moving *w, const ScRun *r, double *ret)
{
    size_t group = r->c / w->a_group, past = r->c % w->a_group;
    size_t behind = r->in / w->kernel, tap = r->in % w->kernel;
    const float *mean = w->means->x + group * w->each + r->outer;
    for (size_t k = 0; k < r->n; k++) {
        ret[k] = (double)mean[behind] * w->share[tap];
        if (w->s.inner == 1) { /* of the next channel */
            mean += ++past == w->a_group ? w->each : 0;
            past = past == w->a_group ? 0 : past;
        } else if (++tap == w->kernel) {
            tap = 0;
            behind++;
        }
    }
}

static void codes_of(const Moving *w, const ScRun *r, const float *x, unsigned char *ret)
{
    double y[SC_RUN];
    if (w->code) {
        memcpy(ret, w->code + r->at, r->n);
        return;
    }
    for (size_t k = 0; k < r->n; k++)
        y[k] = (double)x[k] / w->whole;
    scrt_round_codes(w->fmt, r->n, y, ret);
}

/* By how much the rounding moves what each element adds; along: of channel k, else of one. */
SC_RUN_BODY void move(size_t n, bool along, const double *restrict value,
                      const unsigned char *restrict code, const float *restrict x,
                      const double *restrict unit, const double *restrict by,
                      double *restrict moved)
{
    for (size_t k = 0; k < n; k++)
        moved[along ? k : 0] += (value[code[k]] * unit[along ? k : 0] - (double)x[k]) * by[k];
}

static void move_strip(void *arg, size_t strip)
{
    const Moving *w = arg;
    float x[SC_RUN];
    double by[SC_RUN], unit[SC_RUN], moved[SC_RUN] = {0};
    unsigned char code[SC_RUN];
    ScRun r = sc_run_begin(&w->s, strip);
    for (size_t c = 0; c < r.past - r.first; c++)
        unit[c] = w->unit ? (double)w->unit[r.first + c] : w->whole;
    while (sc_run_next(&w->s, &r)) {
        size_t c = r.c - r.first;
        sc_run_load(w->s.b, &r, x);
        codes_of(w, &r, x, code);
        met(w, &r, by);
        if (w->s.inner == 1)
            SC_ON_RUN(r.n, move, true, w->value, code, x, unit + c, by, moved + c);
        else
            SC_ON_RUN(r.n, move, false, w->value, code, x, unit + c, by, moved + c);
    }
    memcpy(w->moved + r.first, moved, (r.past - r.first) * sizeof *moved);
}

void sc_find_moved(ScScaler *s, const ScNode *node, const ScBlob *b, ScrtDtype fmt,
                   const unsigned char *code, int exp, ScScaledProduct *p)
{
    if (!p->means || scrt_dtype_bits(fmt) != 8)
        return;
    Moving w = {.s = sc_strips(b, p),
                .means = p->means,
                .unit = p->unit,
                .whole = ldexp(1, exp),
                .fmt = fmt,
                .code = code};
    w.each = (size_t)(p->summed.n / p->summed.group);
    w.a_group = w.s.channels / (size_t)p->summed.group;
    w.kernel = w.s.inner > w.each ? w.s.inner / w.each : 1;
    w.share = shares(s, node, w.kernel);
    w.moved = p->moved = sc_array(s->scratch, double, w.s.channels);
    for (uint32_t i = 0; i < 256; i++)
        w.value[i] = scrt_value(fmt, i);
    sc_strips_each(&w.s, move_strip, &w);
}

/* --- Biases ---------------------------------------------------------------------------------- */

/* The constant was, less what the rounding adds, of rank 1 + trailing and by its name (NULL: none);
 * divided: by what the result is multiplied by, where it is added before that. */
static ScVal corrected(ScScaler *s, const ScScaledProduct *p, const ScBlob *was, const char *name,
                       uint32_t trailing, bool divided)
{
    ScCtx *cx = s->b.cx;
    size_t n = (size_t)p->channels;
    int64_t dim[SCRT_MAX_RANK] = {p->channels};
    float *x = sc_array(sc_ctx_arena(cx), float, n + 1);
    float *unit = sc_array(sc_ctx_arena(cx), float, n + 1);
    for (uint32_t d = 1; d <= trailing; d++)
        dim[d] = 1;
    for (size_t c = 0; c < n; c++) {
        double by = divided ? sc_product_factor_at(p, c) : 1;
        x[c] = (float)((scrt_load(was->dtype, was->data, c) - (p->moved ? p->moved[c] : 0)) / by);
        unit[c] = (float)by;
    }
    ScBlob now = {.dtype = SCRT_F32, .rank = 1 + trailing, .dims = dim, .data = x};
    if (p->moved) { /* reports ask what it was */
        now.from = was;
        now.unit = unit;
        now.n_unit = n;
        now.inner = 1;
    }
    ScVal v = sc_const_shaped(&s->b, sc_blob_rounded(cx, &now), SCRT_F32, 1 + trailing, dim,
                              sc_term(cx, 0));
    if (name)
        sc_set_name(&s->b, v, name);
    return v;
}

/* With a few bits for what the rounding adds, and for the sum. */
bool sc_bias_is_far(const ScGraph *g, ScVal bias, const ScScaledProduct *p)
{
    const ScBlob *b = p->unit ? sc_float_blob(g, bias) : NULL;
    for (size_t c = 0; b && c < b->count; c++)
        if (fabs(scrt_load(b->dtype, b->data, c)) / sc_product_factor_at(p, c) > 0x1p124)
            return true;
    return false;
}

ScVal sc_product_bias(ScScaler *s, ScVal bias, const ScScaledProduct *p)
{
    bool as_it_is = !p->unit && p->all == 1 && !p->moved;
    if (p->bias < 0 || as_it_is)
        return SC_ABSENT;
    return corrected(s, p, sc_float_blob(s->g, bias), s->g->value[bias].name, 0, true);
}

ScVal sc_moved_back(ScScaler *s, ScVal bias, const ScScaledProduct *p, ScVal y)
{
    ScCtx *cx = s->b.cx;
    int64_t dim[SCRT_MAX_RANK] = {p->channels};
    for (uint32_t d = 1; d <= p->trailing; d++)
        dim[d] = 1;
    const ScBlob *was = bias == SC_ABSENT ? NULL : sc_float_blob(s->g, bias);
    const char *name = was ? s->g->value[bias].name : NULL;
    if (!was)
        was = sc_blob_folded(cx, SCRT_F32, 1 + p->trailing, dim,
                             sc_array(sc_ctx_arena(cx), float, (size_t)p->channels));
    y = sc_op(&s->b, add, sc_scale_move(s, y, sc_term(cx, 0), false),
              corrected(s, p, was, name, p->trailing, false));
    sc_set_exp(&s->b, y, sc_term(cx, 0));
    return y;
}

bool sc_takes_back(const ScGraph *g, const ScNode *n, uint32_t k)
{
    const ScNode *def = n->in[k] < SC_FIRST ? NULL : sc_def(g, n->in[k]);
    return def && (def->op->flags & SC_CONST_OP) && def->attr[0].blob->from &&
           sc_type_of(g, n->in[k])->dtype == SCRT_F32;
}

uint32_t sc_count_corrected(const ScGraph *g)
{
    uint32_t ret = 0;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->n_in; k++)
            ret += sc_takes_back(g, n, k);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            ret += sc_count_corrected(n->sub[k]);
    }
    return ret;
}
