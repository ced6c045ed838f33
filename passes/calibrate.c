/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration: runs sample inputs through the evaluator and keeps, for each float value that is no
 * constant, the RMS and the largest magnitude of its finite elements. Values of nested graphs are
 * measured over all turns; behind the graph's number, as in 1/sum. Sums run in element and
 * sample order, so the same samples give the same file. The file is text, a line a value:
 *
 *   scalec-stats 3
 *   graph 0123456789abcdef
 *   conv1 rms 1.25 amax 7.5 finite 100352 factor 1.375 gain 0.8 means 2 0.5 -0.25
 *
 * The factor is the one between powers of two at which FP8 E4M3 makes the least squared error on
 * the samples, the gain how many dB less than at a power of two. The means are those of a value
 * that constant weights sum: how many axes lie behind that of its channels, then each channel's. A
 * file of version 1 has neither, one of version 2 no means.
 */
#include "passes/scale_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Level { /* a graph, or one nested in it */
    const ScGraph *g;
    const char *const *label; /* [n_value] */
    double *sum, *amax;       /* [n_value] of squares; of magnitudes */
    uint64_t *finite;         /* [n_value] */
    float *power;             /* [n_value][SC_MANTISSAS] */
    const ScSummed *summed;   /* [n_value] */
    double **channel;         /* [n_value] sums of the channels that are summed, or NULL */
} Level;

struct ScCalibrator {
    ScCtx *cx;
    const ScGraph *g;
    ScArena *arena;
    Level *level; /* [n_level] g first */
    uint32_t n_level;
    uint32_t last; /* the level of the value seen last */
    uint32_t n_sample;
};

ScCalibrator *sc_calibrate_begin(ScCtx *cx, const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    ScCalibrator *c = sc_new(a, ScCalibrator);
    *c = (ScCalibrator){.cx = cx, .g = g, .arena = a};
    const ScLevel *l = sc_levels(g, a, &c->n_level);
    c->level = sc_array(a, Level, c->n_level);
    for (uint32_t i = 0; i < c->n_level; i++) {
        uint32_t n = l[i].g->n_value;
        c->level[i] = (Level){.g = l[i].g,
                              .label = sc_stat_labels(l[i].g, l[i].prefix, a),
                              .sum = sc_array(a, double, n),
                              .amax = sc_array(a, double, n),
                              .finite = sc_array(a, uint64_t, n),
                              .power = sc_array(a, float, (size_t)n *SC_MANTISSAS),
                              .summed = sc_summed_values(l[i].g, a),
                              .channel = sc_array(a, double *, n)};
        for (ScVal v = SC_FIRST; v < n; v++)
            if (c->level[i].summed[v].n > 0)
                c->level[i].channel[v] = sc_array(a, double, (size_t)c->level[i].summed[v].n);
    }
    return c;
}

static bool is_measured(const ScGraph *g, ScVal v)
{
    return v >= SC_FIRST && sc_type_is_float(sc_type_of(g, v)) &&
           !(sc_def(g, v)->op->flags & SC_CONST_OP);
}

/* NULL: a graph that is none of g's, such as an expansion. */
static Level *level_of(ScCalibrator *c, const ScGraph *g)
{
    if (c->level[c->last].g == g)
        return &c->level[c->last];
    for (uint32_t i = 0; i < c->n_level; i++)
        if (c->level[i].g == g)
            return &c->level[c->last = i];
    return NULL;
}

/* Adds the elements of each channel up. */
static void see_channels(const ScrtTensor *t, const ScSummed *s, double *sum)
{
    int64_t inner = 1, n = scrt_count(t), c = 0;
    for (uint32_t d = t->rank - s->behind; d < t->rank; d++)
        inner *= t->dims[d];
    for (int64_t i = 0; i < n; c = c + 1 == s->n ? 0 : c + 1)
        for (int64_t k = 0; k < inner; k++, i++) {
            double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
            sum[c] += isfinite(x) ? x : 0;
        }
}

static void see(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                uint32_t depth)
{
    Level *c = level_of(arg, g);
    (void)depth;
    (void)exp;
    if (!c || !is_measured(g, v))
        return;
    int64_t n = scrt_count(t);
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
        if (!isfinite(x))
            continue;
        c->sum[v] += x * x;
        c->amax[v] = fabs(x) > c->amax[v] ? fabs(x) : c->amax[v];
        c->finite[v]++;
        sc_mantissas_add(c->power + (size_t)v * SC_MANTISSAS, x);
    }
    if (c->channel[v])
        see_channels(t, &c->summed[v], c->channel[v]);
}

bool sc_sample_speaks(ScCtx *cx, const ScGraph *g, const ScrtTensor *in)
{
    int64_t elements = 0;
    for (uint32_t i = 0; i < g->n_in; i++) {
        int64_t n = scrt_count(&in[i]);
        elements += n;
        for (int64_t k = 0; sc_type_is_float(sc_type_of(g, g->in[i])) && k < n; k++)
            if (isnan(scrt_load((ScrtDtype)in[i].dtype, in[i].data, (size_t)k)))
                return sc_fail(cx, NULL, SC_E_INPUT,
                               "element %lld of the sample's input \"%s\" is NaN", (long long)k,
                               g->value[g->in[i]].name);
    }
    return elements > 0 || g->n_in == 0 ||
           sc_fail(cx, NULL, SC_E_INPUT, "the sample is empty: no input has an element");
}

bool sc_calibrate_add(ScCalibrator *c, const ScrtTensor *in, ScrtTensor *ret_out)
{
    if (!sc_sample_speaks(c->cx, c->g, in))
        return false;
    ScArena *a = sc_arena_new();
    ScrtTensor *out = ret_out ? ret_out : sc_array(a, ScrtTensor, c->g->n_out + 1);
    ScEvalOptions opt = {.see = see, .arg = c};
    bool ok = sc_eval(c->g, in, out, &opt);
    for (uint32_t i = 0; ok && !ret_out && i < c->g->n_out; i++)
        scrt_free(out[i].data);
    sc_arena_free(a);
    c->n_sample += ok;
    return ok;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ScStat *)a)->name, ((const ScStat *)b)->name);
}

const ScStats *sc_stats_of(ScCtx *cx, const ScGraph *g, ScStat *stat, uint32_t n)
{
    ScStats *s = sc_new(sc_ctx_arena(cx), ScStats);
    qsort(stat, n, sizeof *stat, by_name);
    *s = (ScStats){.n = n, .stat = stat, .graph = sc_graph_hash(g)};
    return s;
}

static const ScMeans *means_of(const Level *l, ScCtx *cx, ScVal v)
{
    if (!l->channel[v] || l->finite[v] == 0)
        return NULL;
    double each = (double)l->finite[v] / (double)l->summed[v].n;
    for (int64_t c = 0; c < l->summed[v].n; c++)
        l->channel[v][c] /= each;
    return sc_means(cx, &l->summed[v], l->channel[v]);
}

static void level_stats(const Level *l, ScCtx *cx, const ScFactors *f, ScStat *stat, uint32_t *n)
{
    for (ScVal v = SC_FIRST; v < l->g->n_value; v++) {
        if (!is_measured(l->g, v))
            continue;
        double gain;
        uint32_t k = sc_factor_best(f, l->power + (size_t)v * SC_MANTISSAS, NULL, &gain);
        stat[(*n)++] = (ScStat){
            .name = sc_intern(cx, l->label[v]),
            .rms = l->finite[v] ? sqrt(l->sum[v] / (double)l->finite[v]) : 0,
            .amax = l->amax[v],
            .factor = sc_factor_at(k),
            .gain = gain,
            .means = means_of(l, cx, v),
            .n_finite = l->finite[v],
        };
    }
}

const ScStats *sc_calibrate_end(ScCalibrator *c)
{
    uint32_t most = 0, n = 0;
    for (uint32_t i = 0; i < c->n_level; i++)
        most += c->level[i].g->n_value;
    ScStat *stat = sc_array(sc_ctx_arena(c->cx), ScStat, most);
    ScFactors *f = sc_new(c->arena, ScFactors);
    sc_factors_init(f, scrt_format(SCRT_F8E4M3FN)->man_bits);
    for (uint32_t i = 0; i < c->n_level; i++)
        level_stats(&c->level[i], c->cx, f, stat, &n);
    const ScStats *s = sc_stats_of(c->cx, c->g, stat, n);
    sc_arena_free(c->arena);
    return s;
}

/* --- The file -------------------------------------------------------------------------------- */

/* Numbers are written and read in the "C" locale, whatever the program around us has set. */
static locale_t c_locale(locale_t *ret_old)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    *ret_old = c ? uselocale(c) : (locale_t)0;
    return c;
}

static void end_locale(locale_t c, locale_t old)
{
    if (!c)
        return;
    uselocale(old);
    freelocale(c);
}

void sc_stats_print(const ScStats *s, ScStr *out)
{
    locale_t old, c = c_locale(&old);
    sc_str_addf(out, "scalec-stats 3\ngraph %016" PRIx64 "\n", s->graph);
    for (uint32_t i = 0; i < s->n; i++) {
        const ScStat *t = &s->stat[i];
        sc_str_addf(out, "%s rms %.17g amax %.17g finite %" PRIu64, t->name, t->rms, t->amax,
                    t->n_finite);
        if (t->factor >= 1) /* it was looked for */
            sc_str_addf(out, " factor %.17g gain %.17g", t->factor, t->gain);
        if (t->means)
            sc_str_addf(out, " means %u", t->means->behind);
        for (uint32_t k = 0; t->means && k < t->means->n; k++)
            sc_str_addf(out, " %.4g", (double)t->means->x[k]);
        sc_str_add(out, "\n");
    }
    end_locale(c, old);
}

static void blanks(const char **p)
{
    while (**p == ' ' || **p == '\t' || **p == '\r')
        ++*p;
}

static bool word(const char **p, const char *w)
{
    size_t n = strlen(w);
    blanks(p);
    if (strncmp(*p, w, n) != 0)
        return false;
    *p += n;
    blanks(p);
    return true;
}

static bool number(const char **p, double *ret)
{
    char *end;
    if ((**p < '0' || **p > '9') && **p != '.')
        return false;
    *ret = strtod(*p, &end);
    *p = end;
    return isfinite(*ret);
}

static bool count(const char **p, int base, uint64_t *ret)
{
    char *end;
    errno = 0;
    if (**p == '-' || **p == '+')
        return false;
    *ret = strtoull(*p, &end, base);
    bool ok = end != *p && errno == 0;
    *p = end;
    return ok;
}

/* A printed name: bare or in quotes, with what tells it from others of its spelling. */
static const char *label(ScCtx *cx, const char **p)
{
    const char *from = *p;
    size_t prefix = strspn(*p, "0123456789/"); /* of a nested graph */
    *p += (*p)[prefix] == '"' ? prefix : 0;
    bool quoted = **p == '"';
    for (*p += quoted; quoted && **p && **p != '\n' && **p != '"'; ++*p)
        *p += (*p)[0] == '\\' && (*p)[1] && (*p)[1] != '\n';
    *p += strcspn(*p, " \t\r\n");
    return sc_intern_n(cx, from, (size_t)(*p - from));
}

/* Numbers up to the end of the line, the first of which is how many axes lie behind the channels.
 */
static const ScMeans *means(ScCtx *cx, const char **p)
{
    uint64_t behind;
    double *x = NULL, one;
    uint32_t n = 0, cap = 0;
    bool ok = count(p, 10, &behind) && behind < SCRT_MAX_RANK;
    for (blanks(p); ok && **p && **p != '\n'; blanks(p)) {
        bool negative = **p == '-';
        *p += negative;
        if ((ok = number(p, &one)))
            sc_buf_push(x, n, cap, negative ? -one : one);
    }
    ScSummed s = {(uint32_t)behind, n};
    const ScMeans *ret = ok && n > 0 ? sc_means(cx, &s, x) : NULL;
    sc_buf_free(x);
    return ret;
}

/* One line of a value; *p is past it afterwards. */
static bool stat_line(ScCtx *cx, const char **p, ScStat *ret)
{
    ret->name = label(cx, p);
    bool ok = *ret->name && word(p, "rms") && number(p, &ret->rms) && word(p, "amax") &&
              number(p, &ret->amax) && word(p, "finite") && count(p, 10, &ret->n_finite);
    if (ok && word(p, "factor"))
        ok = number(p, &ret->factor) && ret->factor >= 1 && ret->factor < 2 && word(p, "gain") &&
             number(p, &ret->gain);
    if (ok && word(p, "means"))
        ok = (ret->means = means(cx, p)) != NULL;
    blanks(p);
    return ok && (**p == '\n' || **p == '\0');
}

static const ScStats *parse(ScCtx *cx, const char *file, const char *text)
{
    const char *p = text;
    ScStats *s = sc_new(sc_ctx_arena(cx), ScStats);
    ScStat *stat = NULL, *kept;
    uint32_t cap = 0, line = 2;
    uint64_t version;
    if (!word(&p, "scalec-stats") || !count(&p, 10, &version) || version < 1 || version > 3 ||
        *p++ != '\n' || !word(&p, "graph") || !count(&p, 16, &s->graph) ||
        (blanks(&p), *p != '\n')) {
        sc_fail(
            cx, sc_loc(cx, file, 1, SC_FORWARD, 0, NULL), SC_E_CALIBRATION,
            "not a file of statistics: it begins with 'scalec-stats 3' and 'graph' with a hash");
        return NULL;
    }
    for (; *p == '\n'; line++) {
        ScStat one = {0};
        p++;
        blanks(&p);
        if (*p == '\n' || *p == '\0')
            continue;
        if (!stat_line(cx, &p, &one)) {
            sc_fail(cx, sc_loc(cx, file, line + 1, SC_FORWARD, 0, NULL), SC_E_CALIBRATION,
                    "a line is a name, then rms, amax and finite, each with a number");
            sc_buf_free(stat);
            return NULL;
        }
        sc_buf_push(stat, s->n, cap, one);
    }
    kept = sc_array(sc_ctx_arena(cx), ScStat, s->n + 1);
    if (s->n > 0)
        memcpy(kept, stat, s->n * sizeof *stat);
    sc_buf_free(stat);
    qsort(kept, s->n, sizeof *kept, by_name);
    s->stat = kept;
    return s;
}

const ScStats *sc_stats_parse(ScCtx *cx, const char *file, const char *text)
{
    locale_t old, c = c_locale(&old);
    const ScStats *s = parse(cx, file, text);
    end_locale(c, old);
    return s;
}
