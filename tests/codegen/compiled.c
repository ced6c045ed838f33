/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/codegen/compiled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

SctModel sct_compile(const char *text, const char *cpu, const ScCodegenOptions *opt)
{
    SctModel m = {.cx = sc_ctx_new(), .cpu = cpu};
    ScCodegenOptions o = opt ? *opt : (ScCodegenOptions){.embed_limit = 1 << 20};
    ScPassEnv env = {0};
    const ScCodegenOptions target = sct_cpu_options(cpu);
    o.cpu = target.cpu;
    o.tiles = target.tiles;
    m.g = sct_graph(m.cx, text);
    ScGraph *expanded = sc_pass_expand(m.cx, m.g, &env);
    ck_assert_msg(expanded != NULL, "%s", sct_messages(m.cx));
    m.kernels = sc_pass_fuse(m.cx, expanded, &env);
    ck_assert_msg(m.kernels != NULL, "%s", sct_messages(m.cx));
    sc_graph_free(expanded);
    m.o = sc_codegen(m.cx, m.kernels, &o, SC_EMIT_OBJ);
    ck_assert_msg(m.o != NULL, "%s\n%s", sct_messages(m.cx), sct_print(m.kernels));
    m.loaded = sc_load(m.cx, m.o);
    ck_assert_msg(m.loaded != NULL, "%s", sct_messages(m.cx));
    return m;
}

void sct_close(SctModel *m)
{
    sc_unload(m->loaded);
    sc_object_free(m->o);
    sc_graph_free(m->kernels);
    sc_graph_free(m->g);
    sc_ctx_free(m->cx);
}

ScrtSession *sct_open(const SctModel *m, uint32_t n_thread)
{
    ScrtSession *s;
    ScrtOptions opt = {.n_thread = n_thread, .subnormals = true}; /* as the evaluator has them */
    ck_assert_int_eq(scrt_open(sc_loaded_model(m->loaded), &opt, &s), SCRT_OK);
    return s;
}

ScrtTensor *sct_run(const SctModel *m, uint32_t n_thread, const ScrtTensor *in)
{
    ScrtSession *s = sct_open(m, n_thread);
    ScrtTensor *out = calloc(m->g->n_out + 1, sizeof *out);
    ScrtStatus status = scrt_run(s, in, out);
    ck_assert_msg(status == SCRT_OK, "%s: %s", scrt_status_text(status), scrt_error(s));
    scrt_close(s);
    return out;
}

/* --- Comparing ------------------------------------------------------------------------------- */

static double ulp_of(ScrtDtype t, double x)
{
    const ScrtFormat *f = scrt_format(t);
    double a = fabs(x);
    if (a < f->min_normal)
        a = f->min_normal;
    return ldexp(1, ilogb(a) - f->man_bits);
}

static bool near(ScrtDtype t, double got, double want, SctBound b)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (got == want)
        return true;
    if (isinf(want) || isinf(got) || !scrt_dtype_is_float(t))
        return false;
    double d = fabs(got - want);
    return d <= b.max_ulp * ulp_of(t, want) || d <= b.rel * fabs(want) + b.abs;
}

static void compare(const SctModel *m, const ScrtTensor *got, const ScrtTensor *want, SctBound b,
                    uint32_t out)
{
    bool exact = b.max_ulp == 0 && b.rel == 0 && b.abs == 0;
    if (exact && sct_same_bits(got, want))
        return;
    ck_assert_uint_eq(got->dtype, want->dtype);
    ck_assert_uint_eq(got->rank, want->rank);
    for (uint32_t d = 0; d < got->rank; d++)
        ck_assert_int_eq(got->dims[d], want->dims[d]);
    int64_t n = scrt_count(got);
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load(got->dtype, got->data, (size_t)i);
        double y = scrt_load(want->dtype, want->data, (size_t)i);
        ck_assert_msg(near(got->dtype, x, y, b) && (!exact || signbit(x) == signbit(y) || x != x),
                      "%s: output %u element %lld of %lld is %.17g (%a), not %.17g (%a)\n%s",
                      m->cpu, out, (long long)i, (long long)n, x, x, y, y, sct_print(m->kernels));
    }
}

void sct_compare_on(const SctModel *m, const ScrtTensor *in, SctBound bound)
{
    ScrtTensor *want = calloc(m->g->n_out + 1, sizeof *want);
    ck_assert_msg(sc_eval(m->g, in, want, NULL), "%s", sct_messages(m->cx));
    ScrtTensor *one = sct_run(m, 1, in);
    for (uint32_t i = 0; i < m->g->n_out; i++)
        compare(m, &one[i], &want[i], bound, i);
    for (uint32_t n = 2; n <= 3; n++) {
        ScrtTensor *more = sct_run(m, n, in);
        for (uint32_t i = 0; i < m->g->n_out; i++)
            ck_assert_msg(sct_same_bits(&more[i], &one[i]), "%s: output %u differs on %u threads",
                          m->cpu, i, n);
        sct_free(more, m->g->n_out);
    }
    sct_free(one, m->g->n_out);
    sct_free(want, m->g->n_out);
}

void sct_compare(const SctModel *m, uint64_t seed, double lo, double hi, uint32_t n_env,
                 const ScBinding *env, SctBound bound)
{
    ScrtTensor *in = sct_inputs(m->g, &seed, lo, hi, n_env, env);
    sct_compare_on(m, in, bound);
    sct_free(in, m->g->n_in);
}

void sct_everywhere(const char *text, double lo, double hi, SctBound bound, uint32_t n_size,
                    const int64_t *size)
{
    for (int c = 0; c < SCT_N_CPU; c++) {
        if (!sct_runs(sct_cpus[c]))
            continue;
        SctModel m = sct_compile(text, sct_cpus[c], NULL);
        for (uint32_t i = 0; i < (n_size ? n_size : 1); i++) {
            ScBinding env = {sc_intern(m.cx, "n"), n_size ? size[i] : 0};
            sct_compare(&m, 7 + i, lo, hi, n_size != 0, &env, bound);
        }
        sct_close(&m);
    }
}
