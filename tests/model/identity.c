/* SPDX-License-Identifier: Apache-2.0 */
/* Scalified and evaluated, a graph gives the plain graph's numbers bit for bit, in each value, in
 * nested graphs too, wherever nothing under- or overflows. Where something does, the node is named:
 * its operands had the plain graph's bits and its result, beyond the format's range or below its
 * normal numbers in one of the graphs, has not. Any other difference fails.
 *
 *   model-identity                     the models and graphs below, for `make test`
 *   model-identity MODEL [SAMPLES]...  one of the user's own, on samples or synthetic inputs */
#include "tests/harness.h"
#include "tools/libscalec/scalec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const models[] = {
    "mnist/mnist.onnx",
    "marabou/mnist5x20_leaky_relu.onnx",
    "marabou/cnn_max_mninst2.onnx",
    "marabou/self-attention-mnist-pgd-medium-sim.onnx",
    "identity/loop.sc",
    "identity/branches.sc",
    "identity/half.sc",
};

enum { MAX_GRAPHS = 4096, MOST_NAMED = 5 };

/* One value of the plain run. */
typedef struct Seen {
    const ScOp *op;
    ScrtTensor t; /* data from malloc */
} Seen;

typedef struct Beside { /* what is known of the values of one graph of the scaled ones */
    const ScGraph *g;
    uint32_t *twin; /* [n_value] 1 + its number in the plain run; 0: none */
    bool *differs;  /* [n_value] */
} Beside;

typedef struct Pair {
    Seen *seen;
    uint32_t n, cap, at; /* at: the next that the scaled run will reach */
    Beside beside[MAX_GRAPHS];
    uint32_t n_beside;
    uint64_t compared;
    uint32_t notes, faults;
    const char *what; /* model and source of scales */
} Pair;

static bool is_passed_over(const ScGraph *g, ScVal v, uint32_t flags)
{
    return v < SC_FIRST || (sc_def(g, v)->op->flags & flags);
}

static void see_plain(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                      uint32_t depth)
{
    Pair *p = arg;
    size_t bytes;
    (void)depth;
    (void)exp;
    if (is_passed_over(g, v, SC_CONST_OP) || !scrt_tensor_bytes(t, &bytes))
        return;
    Seen s = {.op = sc_def(g, v)->op, .t = *t};
    s.t.data = malloc(bytes + 1);
    if (!s.t.data)
        abort();
    if (bytes)
        memcpy(s.t.data, t->data, bytes);
    sc_buf_push(p->seen, p->n, p->cap, s);
}

static Beside *beside_of(Pair *p, const ScGraph *g)
{
    for (uint32_t i = p->n_beside; i-- > 0;)
        if (p->beside[i].g == g)
            return &p->beside[i];
    if (p->n_beside == MAX_GRAPHS)
        abort();
    Beside *b = &p->beside[p->n_beside++];
    *b = (Beside){.g = g,
                  .twin = calloc(g->n_value, sizeof *b->twin),
                  .differs = calloc(g->n_value, sizeof *b->differs)};
    if (!b->twin || !b->differs)
        abort();
    return b;
}

static bool same(double x, double y)
{
    return isnan(x) ? isnan(y) : x == y && signbit(x) == signbit(y);
}

/* Beyond the range of the format, or below its normal numbers. */
static bool is_extreme(const ScrtFormat *f, double x)
{
    return !(fabs(x) >= f->min_normal && fabs(x) < f->max);
}

typedef struct Difference {
    uint64_t n, extreme;
    int64_t first;
    double want, got; /* the first one's numbers */
} Difference;

/* The data of t times 2^e beside the plain value. */
static Difference compare(const ScrtTensor *want, const ScrtTensor *t, int e)
{
    Difference d = {0};
    const ScrtFormat *f = scrt_format((ScrtDtype)t->dtype);
    bool is_float = scrt_dtype_is_float((ScrtDtype)t->dtype);
    int64_t n = scrt_count(t);
    if (n != scrt_count(want) || t->dtype != want->dtype)
        return (Difference){.n = 1};
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)want->dtype, want->data, (size_t)i);
        double data = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i), y = ldexp(data, e);
        if (same(x, y))
            continue;
        if (d.n++ == 0)
            d = (Difference){.n = 1, .first = i, .want = x, .got = y};
        d.extreme += is_float && f && (is_extreme(f, x) || is_extreme(f, data));
    }
    return d;
}

static void name(const ScNode *n, ScStr *out)
{
    sc_str_addf(out, "%s", n->op->name);
    for (uint32_t i = 0; n->loc && i < n->loc->n; i++)
        if (n->loc->origin[i].name)
            sc_str_addf(out, "%s\"%s\"", i ? ", " : " ", n->loc->origin[i].name);
}

/* The value of node n differs though its operands do not. */
static void judge(Pair *p, const ScNode *n, const Difference *d)
{
    bool fault = d->extreme < d->n && !(n->op->n_sub > 0 && p->notes > 0);
    ScStr who = {0};
    name(n, &who);
    if (fault)
        p->faults++;
    else
        p->notes++;
    if (fault ? p->faults <= MOST_NAMED : p->notes <= MOST_NAMED)
        printf("%s %s: %s%s: %llu elements, the first of them %.9g, not %.9g\n",
               fault ? "FAIL" : "note", p->what, fault ? "" : "under- or overflow in ",
               sc_str_get(&who), (unsigned long long)d->n, d->got, d->want);
    sc_str_free(&who);
}

static bool any_differs(const Beside *b, const ScNode *n)
{
    bool any = false;
    for (uint32_t i = 0; i < n->n_in; i++)
        any = any || b->differs[n->in[i]];
    return any;
}

/* It finds an exponent in the data, and has no twin: the plain graph measures nothing. */
static bool finds_exponent(const ScGraph *g, const ScNode *n)
{
    return (n->op->flags & SC_MEASURES) || ((n->op->flags & SC_BINDS) && !n->op->control &&
                                            (sc_def(g, n->in[0])->op->flags & SC_MEASURES));
}

static void see_scaled(void *arg, const ScGraph *g, ScVal v, const ScrtTensor *t, int64_t exp,
                       uint32_t depth)
{
    Pair *p = arg;
    if (is_passed_over(g, v, SC_CONST_OP))
        return;
    const ScNode *n = sc_def(g, v);
    Beside *b = beside_of(p, g);
    if (finds_exponent(g, n)) {
        b->twin[v] = 0;
        return;
    }
    if (n->op->flags & SC_REBALANCES) { /* the same number, written otherwise */
        b->twin[v] = b->twin[n->in[0]];
    } else if (p->at < p->n && p->seen[p->at].op == n->op) {
        b->twin[v] = ++p->at;
    } else {
        b->twin[v] = 0;
        p->faults += p->at < p->n;
        p->at = p->n;
    }
    if (!b->twin[v])
        return;
    Difference d = compare(&p->seen[b->twin[v] - 1].t, t, (int)exp);
    p->compared++;
    b->differs[v] = d.n > 0;
    bool entered = depth > 0 && (n->op->flags & SC_BARRIER);
    if (d.n > 0 && !entered && !any_differs(b, n))
        judge(p, n, &d);
}

static void pair_free(Pair *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        free(p->seen[i].t.data);
    for (uint32_t i = 0; i < p->n_beside; i++) {
        free(p->beside[i].twin);
        free(p->beside[i].differs);
    }
    sc_buf_free(p->seen);
    free(p);
}

static bool evaluate(const ScGraph *g, const ScrtTensor *in, const ScEvalOptions *opt)
{
    ScrtTensor *out = calloc(g->n_out + 1, sizeof *out);
    if (!out)
        abort();
    bool ok = sc_eval(g, in, out, opt);
    for (uint32_t i = 0; ok && i < g->n_out; i++)
        scrt_free(out[i].data);
    free(out);
    return ok;
}

/* The plain graph g beside s, which is scalified, on one sample. */
static bool beside(ScCtx *cx, const ScGraph *g, const ScGraph *s, const ScrtTensor *in,
                   const char *what)
{
    Pair *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->what = what;
    bool ok = evaluate(g, in, &(ScEvalOptions){.see = see_plain, .arg = p}) &&
              evaluate(s, in, &(ScEvalOptions){.see = see_scaled, .arg = p});
    if (ok) {
        ok = p->faults == 0 && p->compared > 0;
        printf("%s %s: %llu values of %u compared, %u nodes under- or overflow\n",
               ok ? "ok" : "FAIL", what, (unsigned long long)p->compared, p->n, p->notes);
    } else {
        ScStr text = {0};
        for (uint32_t i = 0; i < sc_n_diags(cx); i++)
            sc_diag_text(sc_diag(cx, i), &text);
        printf("FAIL %s: %s\n", what, sc_str_get(&text));
        sc_str_free(&text);
    }
    pair_free(p);
    return ok;
}

/* By each source of scales. */
static bool by_sources(ScCtx *cx, const ScGraph *g, const ScrtTensor *in, const char *model)
{
    static const struct {
        const char *name;
        ScScales scales;
        ScSource source;
    } by[] = {{"propagate", SC_SCALES_PROPAGATE, SC_STATIC},
              {"probe", SC_SCALES_PROBE, SC_STATIC},
              {"dynamic", SC_SCALES_PROPAGATE, SC_DYNAMIC}};
    bool ok = true;
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        ScPassEnv env = {
            .recipe = sc_recipe(cx, "fp8"), .scales = by[i].scales, .source = by[i].source};
        if (env.scales == SC_SCALES_PROBE && !(env.stats = scalec_probe(cx, g, NULL)))
            continue; /* what its inputs mean is not known */
        ScGraph *s = sc_pass_scalify(cx, g, &env);
        char what[4096];
        snprintf(what, sizeof what, "%s, %s", model, by[i].name);
        ok = s && sc_verify(s, "scalify") && beside(cx, g, s, in, what) && ok;
        sc_graph_free(s);
    }
    return ok;
}

static bool on_synthetic(ScCtx *cx, const ScGraph *g, const char *model)
{
    ScrtTensor *in = calloc(g->n_in + 1, sizeof *in);
    if (!in)
        abort();
    bool ok = sc_probe_inputs(cx, g, SC_PROBE_NOISE, in) && by_sources(cx, g, in, model);
    for (uint32_t i = 0; i < g->n_in; i++)
        scrt_free(in[i].data);
    free(in);
    return ok;
}

static bool on_samples(ScCtx *cx, const ScGraph *g, const char *model, const char *path)
{
    const ScrtTensor *in;
    ScalecSamples *s = scalec_samples_open(cx, g, path, NULL);
    bool ok = s && scalec_samples_get(s, 0, &in) && by_sources(cx, g, in, model);
    scalec_samples_close(s);
    return ok;
}

static bool check(const char *path, const char *samples)
{
    ScCtx *cx = sc_ctx_new();
    ScalecModel m = {0};
    const char *slash = strrchr(path, '/');
    bool ok = scalec_load(cx, path, NULL, &m);
    ScGraph *g = ok ? scalec_raised(cx, &m, &(ScalecOptions){0}) : NULL;
    ok = g && (samples ? on_samples(cx, g, slash ? slash + 1 : path, samples)
                       : on_synthetic(cx, g, slash ? slash + 1 : path));
    if (!g || (!ok && sc_n_errors(cx) > 0)) {
        ScStr text = {0};
        for (uint32_t i = 0; i < sc_n_diags(cx); i++)
            sc_diag_text(sc_diag(cx, i), &text);
        printf("FAIL %s: %s\n", path, sc_str_get(&text));
        sc_str_free(&text);
    }
    sc_graph_free(g);
    sc_graph_free(m.graph);
    sc_ctx_free(cx);
    return ok;
}

/* Another factor is found, and blamed on the node. */
static bool finds_a_fault(void)
{
    static const char *const text[] = {
        "graph @g(%x: f32[4]) -> (%y) {\n  %two = const 2 : f32[]\n"
        "  %a = tanh %x : f32[4] from \"tanh\"\n  %y = mul %a, %two : f32[4] from \"planted\"\n}\n",
        "graph @g(%x: f32[4]) -> (%y) {\n  %two = const 3 : f32[]\n"
        "  %a = tanh %x : f32[4] from \"tanh\"\n  %y = mul %a, %two : f32[4] from "
        "\"planted\"\n}\n"};
    ScCtx *cx = sc_ctx_new();
    ScGraph *g[2];
    float x[] = {1, 2, 3, 4};
    ScrtTensor in = {.dtype = SCRT_F32, .rank = 1, .dims = {4}, .data = x};
    for (int i = 0; i < 2; i++)
        g[i] = sc_parse(cx, "planted", text[i], NULL, NULL);
    bool found = g[0] && g[1] && beside(cx, g[0], g[0], &in, "equal graphs") &&
                 !beside(cx, g[0], g[1], &in, "planted fault, to be found");
    sc_graph_free(g[0]);
    sc_graph_free(g[1]);
    sc_ctx_free(cx);
    return found;
}

int main(int argc, char **argv)
{
    uint32_t passed = 0, failed = 0;
    if (argc == 1 && finds_a_fault())
        passed++;
    else
        failed += argc == 1;
    for (int i = 2; i < argc || i == 2; i++)
        if (argc > 1 && !check(argv[1], i < argc ? argv[i] : NULL))
            failed++;
    for (size_t i = 0; argc == 1 && i < sizeof models / sizeof *models; i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/model/data/%s", models[i]);
        bool ok = check(sct_source(path), NULL);
        passed += ok;
        failed += !ok;
    }
    if (argc == 1)
        printf("model-identity: %u passed, %u failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
