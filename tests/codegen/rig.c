/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/codegen/rig.h"

#include "codegen/emit/emit.h"
#include "tests/graphs.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rig_init(Rig *r, const char *cpu, uint64_t seed)
{
    memset(r, 0, sizeof *r);
    r->cx = sc_ctx_new();
    r->cpu = cpu;
    r->seed = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
}

void rig_free(Rig *r)
{
    for (uint32_t i = 0; r->g && i < r->g->n_in; i++)
        scrt_free(r->in[i].data);
    sc_unload(r->loaded);
    sc_object_free(r->object);
    sc_graph_free(r->kernels);
    sc_graph_free(r->g);
    sc_ctx_free(r->cx);
}

static uint64_t next(Rig *r)
{
    r->seed ^= r->seed << 13;
    r->seed ^= r->seed >> 7;
    r->seed ^= r->seed << 17;
    return r->seed >> 11;
}

int64_t rig_draw(Rig *r, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(next(r) % (uint64_t)(hi - lo + 1));
}

/* About normal, so that low-precision codes of every size occur. */
static double number(Rig *r)
{
    double x = 0;
    for (int i = 0; i < 4; i++)
        x += (double)(next(r) & 0xffffff) / 0x1p24 - 0.5;
    x *= r->range != 0 ? r->range / 2 : 1;
    return r->magnitudes ? fabs(x) : x;
}

static void fill(Rig *r, ScrtTensor *t)
{
    int64_t n = scrt_count(t);
    bool whole = !scrt_dtype_is_float((ScrtDtype)t->dtype);
    for (int64_t i = 0; i < n; i++) {
        double x = number(r);
        scrt_store((ScrtDtype)t->dtype, t->data, (size_t)i, whole ? nearbyint(20 * x) : x, true);
    }
}

void rig_blob(Rig *r, const char *name, uint32_t rank, const int64_t *dims)
{
    size_t n = 1;
    for (uint32_t i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    float *data = sc_array(sc_ctx_arena(r->cx), float, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        data[i] = (float)number(r);
    ck_assert_uint_lt(r->n_blob, RIG_BLOBS);
    r->blob[r->n_blob++] = sc_blob(r->cx, sc_intern(r->cx, name), SCRT_F32, rank, dims, data);
}

static const ScBlob *find_blob(void *self, const char *name, uint64_t count)
{
    (void)count;
    const Rig *r = self;
    for (uint32_t i = 0; i < r->n_blob; i++)
        if (strcmp(r->blob[i]->name, name) == 0)
            return r->blob[i];
    return NULL;
}

void rig_parse(Rig *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(r->text, sizeof r->text, fmt, args);
    va_end(args);
    ck_assert_int_lt(n, (int)sizeof r->text);
    ScBlobSource src = {find_blob, r};
    r->g = sc_parse(r->cx, "rig", r->text, &src, NULL);
    ck_assert_msg(r->g != NULL, "%s\n%s", r->text, sct_messages(r->cx));
}

void rig_take(Rig *r, ScGraph *g)
{
    ck_assert_msg(g != NULL, "%s", sct_messages(r->cx));
    r->g = g;
    snprintf(r->text, sizeof r->text, "%s", sct_print(g));
}

void rig_compile(Rig *r)
{
    ScPassEnv env = {0};
    r->kernels = sc_pass_fuse(r->cx, r->g, &env);
    ck_assert_msg(r->kernels != NULL, "%s\n%s", r->text, sct_messages(r->cx));
    ScCodegenOptions opt = sct_cpu_options(r->cpu);
    opt.embed_limit = 64 << 20;
    r->object = sc_codegen(r->cx, r->kernels, &opt, SC_EMIT_OBJ);
    ck_assert_msg(r->object != NULL, "%s\n%s", r->text, sct_messages(r->cx));
    r->loaded = sc_load(r->cx, r->object);
    ck_assert_msg(r->loaded != NULL, "%s\n%s", r->text, sct_messages(r->cx));
}

void rig_inputs(Rig *r, const char *sym, int64_t value)
{
    ScBinding env = {sym ? sc_intern(r->cx, sym) : NULL, value};
    for (uint32_t i = 0; i < r->g->n_in; i++) {
        const ScType *t = sc_type_of(r->g, r->g->in[i]);
        ScrtTensor *x = &r->in[i];
        scrt_free(x->data);
        *x = (ScrtTensor){.dtype = t->dtype, .rank = t->rank};
        for (uint32_t d = 0; d < t->rank; d++)
            ck_assert(sc_term_eval(t->dim[d], sym ? 1 : 0, &env, &x->dims[d]));
        ck_assert_int_eq(scrt_tensor_alloc(x), SCRT_OK);
        fill(r, x);
    }
}

void rig_evaluate(Rig *r, ScrtTensor *ret_out)
{
    memset(ret_out, 0, r->g->n_out * sizeof *ret_out);
    ck_assert_msg(sc_eval(r->g, r->in, ret_out, NULL), "%s\n%s", r->text, sct_messages(r->cx));
}

void rig_run(Rig *r, uint32_t n_thread, ScrtTensor *ret_out)
{
    ScrtOptions opt = {.n_thread = n_thread, .level = strchr(r->cpu, ',') ? 1 : 0};
    ScrtSession *s = NULL;
    ck_assert_int_eq(scrt_open(sc_loaded_model(r->loaded), &opt, &s), SCRT_OK);
    memset(ret_out, 0, r->g->n_out * sizeof *ret_out);
    ScrtStatus status = scrt_run(s, r->in, ret_out);
    ck_assert_msg(status == SCRT_OK, "%s\n%s", r->text, scrt_error(s));
    scrt_close(s);
}

void rig_outputs_free(Rig *r, ScrtTensor *out)
{
    for (uint32_t i = 0; i < r->g->n_out; i++)
        scrt_free(out[i].data);
}

void rig_run_threads(Rig *r, ScrtTensor *ret_out)
{
    rig_run(r, 1, ret_out);
    for (uint32_t n = 2; n <= 3; n++) {
        ScrtTensor out[RIG_PORTS];
        rig_run(r, n, out);
        for (uint32_t i = 0; i < r->g->n_out; i++) {
            size_t bytes;
            ck_assert(scrt_tensor_bytes(&ret_out[i], &bytes));
            ck_assert_msg(memcmp(ret_out[i].data, out[i].data, bytes) == 0,
                          "%u threads give other bits than one:\n%s", n, r->text);
        }
        rig_outputs_free(r, out);
    }
}

const char *rig_what(const Rig *r, uint32_t i)
{
    ck_assert_uint_lt(i, r->object->n_kernel);
    return r->object->kernel[i].what;
}
