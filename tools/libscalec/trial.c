/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/libscalec/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EMBED_LIMIT (1u << 20)

/* The bytes of a file of weights, mapped; n: how many. NULL with errors. */
static void *map_file(ScCtx *cx, const char *path, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *p = fd >= 0 ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        sc_fail(cx, NULL, SC_E_FILE, "the weights: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return p == MAP_FAILED ? NULL : p;
}

static bool start(ScCtx *cx, Trial *t)
{
    t->loaded = t->object ? sc_load(cx, t->object) : NULL;
    if (!t->loaded)
        return false;
    t->model = sc_loaded_model(t->loaded);
    ScrtOptions run = {.weights = t->mapped ? t->mapped : t->object->weights};
    ScrtStatus st = scrt_open(t->model, &run, &t->session);
    return st == SCRT_OK || sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_status_text(st));
}

bool trial_open(ScCtx *cx, ScGraph *g, bool quick, Trial *ret)
{
    static const char *const idle[] = {"simplify", "scalify", "quantize", "settle"};
    ScPipeline p = {.disable = idle, .n_disable = sizeof idle / sizeof *idle};
    ScCodegenOptions opt = {.symbol = "trial", .embed_limit = EMBED_LIMIT, .quick = quick};
    *ret = (Trial){0};
    g = g ? sc_pipeline_run(cx, g, &p) : NULL;
    ret->object = g ? sc_codegen(cx, g, &opt, SC_EMIT_OBJ) : NULL;
    sc_graph_free(g);
    return start(cx, ret);
}

bool trial_borrow(ScCtx *cx, ScObject *o, Trial *ret)
{
    *ret = (Trial){.object = o, .borrowed = true};
    if (o->weights_path && !(ret->mapped = map_file(cx, o->weights_path, o->n_weights)))
        return false;
    return start(cx, ret);
}

bool trial_run(ScCtx *cx, Trial *t, const ScrtTensor *in, ScrtTensor *out)
{
    memset(out, 0, t->model->entry->n_out * sizeof *out);
    scrt_state_reset(t->session);
    return scrt_run(t->session, in, out) == SCRT_OK ||
           sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_error(t->session));
}

void trial_add_noise(TrialNoise *sum, const ScrtTensor *got, const ScrtTensor *want)
{
    bool floats = scrt_dtype_is_float((ScrtDtype)want->dtype);
    if (scrt_count(got) != scrt_count(want)) {
        sum->counts = true;
        sum->noise = INFINITY;
        return;
    }
    sum->counts = sum->counts || floats;
    for (int64_t i = 0; floats && i < scrt_count(want); i++) {
        double x = scrt_load((ScrtDtype)want->dtype, want->data, (size_t)i);
        double y = scrt_load((ScrtDtype)got->dtype, got->data, (size_t)i);
        if (!isfinite(x))
            continue;
        sum->signal += x * x;
        sum->noise += isfinite(y) ? (x - y) * (x - y) : INFINITY;
    }
}

double trial_ratio(const TrialNoise *sum)
{
    return sum->noise == 0 ? 0 : sum->noise / sum->signal;
}

double trial_mean_ratio(const TrialNoise *sum, uint32_t n)
{
    double all = 0;
    uint32_t n_counted = 0;
    for (uint32_t i = 0; i < n; i++) {
        all += trial_ratio(&sum[i]);
        n_counted += sum[i].counts;
    }
    return all == 0 ? 0 : all / n_counted;
}

static int64_t largest(const ScrtTensor *t, int64_t row, int64_t n)
{
    int64_t best = 0;
    double top = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)(row * n + i));
        if (x > top) {
            best = i;
            top = x;
        }
    }
    return best;
}

static bool has_rows(const ScrtTensor *t)
{
    return scrt_dtype_is_float((ScrtDtype)t->dtype) && t->rank > 0 && t->dims[t->rank - 1] > 1;
}

void trial_count_rows(const ScrtTensor *got, const ScrtTensor *want, uint32_t n_out, uint64_t *rows,
                      uint64_t *same)
{
    uint32_t k = 0;
    while (k < n_out && !has_rows(&want[k]))
        k++;
    if (k == n_out || scrt_count(&got[k]) != scrt_count(&want[k]))
        return;
    int64_t n = want[k].dims[want[k].rank - 1], count = scrt_count(&want[k]) / n;
    for (int64_t i = 0; i < count; i++)
        *same += largest(&got[k], i, n) == largest(&want[k], i, n);
    *rows += (uint64_t)count;
}

void trial_free(ScrtTensor *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        scrt_free(t[i].data);
}

void trial_close(Trial *t)
{
    scrt_close(t->session);
    sc_unload(t->loaded);
    if (t->mapped)
        munmap(t->mapped, t->object->n_weights);
    if (!t->borrowed)
        sc_object_free(t->object);
}
