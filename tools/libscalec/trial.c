/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/libscalec/trial.h"

#include "tools/libscalec/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EMBED_LIMIT (1u << 20)

/* The bytes of the file, if one was opened; from now on no name leads to it. */
static bool map_weights(ScCtx *cx, ScalecBeside *b, Trial *t)
{
    if (!b->path)
        return true;
    int fd = t->object ? open(b->path, O_RDONLY | O_CLOEXEC) : -1;
    void *p =
        fd >= 0 ? mmap(NULL, t->object->n_weights, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (p != MAP_FAILED)
        t->mapped = p;
    else if (t->object)
        sc_fail(cx, NULL, SC_E_FILE, "the weights: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    scrt_temporary_remove(b->path);
    free(b->path);
    return t->mapped != NULL;
}

bool trial_open(ScCtx *cx, ScGraph *g, const char *output, Trial *ret)
{
    static const char *const idle[] = {"simplify", "scalify", "quantize", "settle"};
    ScPipeline p = {.disable = idle, .n_disable = sizeof idle / sizeof *idle};
    ScalecBeside beside = {.output = output};
    ScCodegenOptions opt = {.symbol = "trial",
                            .embed_limit = EMBED_LIMIT,
                            .weights_file = scalec_beside_opener(&beside),
                            .arg = &beside};
    *ret = (Trial){0};
    g = g ? sc_pipeline_run(cx, g, &p) : NULL;
    ret->object = g ? sc_codegen(cx, g, &opt, SC_EMIT_OBJ) : NULL;
    sc_graph_free(g);
    if (!map_weights(cx, &beside, ret))
        return false;
    ret->loaded = ret->object ? sc_load(cx, ret->object) : NULL;
    if (!ret->loaded)
        return false;
    ret->model = sc_loaded_model(ret->loaded);
    ScrtOptions run = {.weights = ret->mapped ? ret->mapped : ret->object->weights};
    ScrtStatus st = scrt_open(ret->model, &run, &ret->session);
    return st == SCRT_OK || sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_status_text(st));
}

bool trial_run(ScCtx *cx, Trial *t, const ScrtTensor *in, ScrtTensor *out)
{
    memset(out, 0, t->model->entry->n_out * sizeof *out);
    scrt_state_reset(t->session);
    return scrt_run(t->session, in, out) == SCRT_OK ||
           sc_fail(cx, NULL, SC_E_RUN, "%s", scrt_error(t->session));
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
    sc_object_free(t->object);
}
