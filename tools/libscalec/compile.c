/* SPDX-License-Identifier: Apache-2.0 */
/* From a loaded model to a rewritten graph or an object. */
#include "tools/libscalec/beside.h"
#include "tools/libscalec/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EMBED_LIMIT (64u << 20)

static bool pipeline_of(ScCtx *cx, const ScalecOptions *opt, ScPipeline *ret)
{
    *ret = (ScPipeline){.env = {.scales = opt->scales,
                                .stats = opt->stats,
                                .source = opt->source,
                                .count_saturated = opt->count_saturated},
                        .disable = opt->disable,
                        .n_disable = opt->n_disable,
                        .until = opt->until,
                        .verify = opt->verify,
                        .after = opt->after,
                        .arg = opt->arg,
                        .eval_in = opt->eval_in,
                        .eval_rtol = opt->eval_rtol};
#ifdef SC_DEBUG
    ret->verify = true;
#endif
    ret->env.recipe = sc_recipe(cx, opt->recipe ? opt->recipe : "f32");
    return ret->env.recipe != NULL;
}

static ScGraph *run(ScCtx *cx, ScGraph *g, const ScalecOptions *opt)
{
    ScPipeline p;
    if (pipeline_of(cx, opt, &p))
        return sc_pipeline_run(cx, g, &p);
    sc_graph_free(g);
    return NULL;
}

ScGraph *scalec_rewrite(ScCtx *cx, ScalecModel *m, const ScalecOptions *opt)
{
    ScGraph *g = m->graph;
    m->graph = NULL;
    return run(cx, g, opt);
}

ScGraph *scalec_raised(ScCtx *cx, const ScalecModel *m, const ScalecOptions *opt)
{
    ScalecOptions quiet = *opt;
    quiet.until = "raise";
    quiet.after = NULL;
    quiet.eval_in = NULL;
    return run(cx, sc_graph_clone(m->graph), &quiet);
}

const ScStats *scalec_calibrate(ScCtx *cx, const ScGraph *raised, ScalecSamples *s, ScalecRuns *ret)
{
    ScCalibrator *c = sc_calibrate_begin(cx, raised);
    uint32_t n = scalec_samples_count(s);
    const ScrtTensor *in;
    bool ok = c != NULL;
    for (uint32_t i = 0; ok && i < n; i++) {
        sc_stage_share(cx, i, n);
        ok = scalec_samples_get(s, i, &in) &&
             sc_calibrate_add(c, in, ret ? runs_add(ret, raised, in) : NULL);
    }
    if (ok && n == 0)
        ok = sc_fail(cx, NULL, SC_E_INPUT, "there is no sample");
    const ScStats *stats = c ? sc_calibrate_end(c) : NULL;
    return ok ? stats : NULL;
}

const ScStats *scalec_read_stats(ScCtx *cx, const char *path)
{
    ScrtFile file;
    if (!scalec_open(cx, path, &file))
        return NULL;
    const ScStats *s = sc_stats_parse(cx, path, (const char *)file.data);
    scrt_file_close(&file);
    return s;
}

/* Where the scales come from: a program whose values are all stored as in the model has none. */
static const char *scales_text(const ScRecipe *r, const ScalecOptions *opt)
{
    static const char *const name[] = {"propagate", "calibrate", "probe"};
    static const char *const found[] = {NULL, NULL, "dynamic", "dynamic-rows", "delayed"};
    bool low = r && !sc_recipe_is_plain(r);
    ScSource source = r && !opt->source ? r->source : opt->source;
    return !low ? "none" : source > SC_STATIC ? found[source] : name[opt->scales];
}

/* Integer inputs that choose parts of a table, to how many: [from, up to but not]. */
static void add_ranges(json_t *o, const ScGraph *g)
{
    for (uint32_t i = 0; i < g->n_in; i++) {
        const char *name = g->value[g->in[i]].name;
        int64_t limit = sc_index_limit(g, i);
        if (name && strlen(name) < SCALEC_INFO_NAME && limit > 0)
            json_object_set_new(o, name, json_pack("[i, I]", 0, (json_int_t)limit));
    }
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* How it was made, for --info: keys in this order. Not the passes that were left out: an object
 * says what it is, and one that a pass left alone is the same without that pass. */
static char *info_json(ScCtx *cx, uint32_t n, const ScalecEntry *e, const ScalecOptions *opt)
{
    char hash[20];
    const ScalecModel *m = &e->model;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)m->hash);
    const ScRecipe *r = sc_recipe(cx, opt->recipe ? opt->recipe : "f32");
    const char *cpu = opt->cpu                              ? opt->cpu
                      : sc_target_is_elsewhere(opt->target) ? "generic"
                                                            : "native";
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "scalec", SCALEC_VERSION, "source",
                  file_name(m->path), "source_xxh64", hash, "recipe", r ? r->name : "", "scales",
                  scales_text(r, opt), "cpu", cpu, "target", opt->target ? opt->target : "native");
    json_t *ranges = json_object(), *sources = json_object(), *rounds = json_object();
    for (uint32_t i = 0; i < n; i++) {
        json_t *own = scalec_rounding(e[i].model.graph);
        json_object_update_missing(rounds, own);
        json_decref(own);
        add_ranges(ranges, e[i].model.graph);
        json_object_set_new(sources, e[i].name, json_string(file_name(e[i].model.path)));
    }
    if (json_object_size(rounds) > 0)
        json_object_set(o, "rounds", rounds);
    json_decref(rounds);
    if (n > 1)
        json_object_set(o, "entries", sources);
    json_decref(sources);
    if (json_object_size(ranges) > 0)
        json_object_set(o, "ranges", ranges);
    json_decref(ranges);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}

/* Gives the file's name to the object, or removes the file. */
static void settle_beside(ScalecBeside *b, ScObject *o)
{
    if (o && b->path)
        o->weights_path = sc_strdup(o->arena, b->path);
    else if (b->path)
        scrt_temporary_remove(b->path);
    free(b->path);
}

/* The pipeline on every entry; kernels for sc_codegen_entries. */
static bool rewrite_all(ScCtx *cx, uint32_t n, ScalecEntry *e, const ScalecOptions *opt,
                        ScCodegenEntry *ret)
{
    ScPipeline p;
    ScRecipeUse use = {0};
    bool ok = pipeline_of(cx, opt, &p);
    if (ok)
        sc_recipe_use_begin(p.env.recipe, &use);
    p.env.use = &use;
    for (uint32_t i = 0; i < n && ok; i++) {
        sc_set_file(cx, e[i].model.path);
        if (i > 0) {
            p.after = NULL;
            p.eval_in = NULL;
            p.env.stats = e[i].stats;
            p.env.scales = e[i].stats ? opt->scales : SC_SCALES_PROPAGATE;
        }
        ret[i] =
            (ScCodegenEntry){.name = e[i].name, .g = sc_pipeline_run(cx, e[i].model.graph, &p)};
        e[i].model.graph = NULL;
        if (ret[i].g)
            ret[i].numbers = sc_keep_numbers(cx, ret[i].g);
        ok = ret[i].g != NULL;
    }
    sc_set_file(cx, e[0].model.path);
    if (p.env.recipe)
        sc_recipe_use_end(cx, p.env.recipe, &use);
    return ok;
}

ScObject *scalec_compile_entries(ScCtx *cx, uint32_t n, ScalecEntry *e, const ScalecOptions *opt,
                                 ScEmit emit)
{
    char *info = info_json(cx, n, e, opt);
    ScCodegenEntry *entry = sc_array(sc_ctx_arena(cx), ScCodegenEntry, n);
    bool ok = rewrite_all(cx, n, e, opt, entry);
    ScObject *o = NULL;
    if (ok && !info) /* a name that is no UTF-8 */
        sc_fail(cx, NULL, SC_E_FILE, "the model's file name cannot be written as JSON");
    if (ok && info) {
        ScalecBeside beside = {.output = opt->output};
        ScCodegenOptions cg = {.cpu = opt->cpu,
                               .target = opt->target,
                               .symbol = opt->symbol,
                               .info = info,
                               .embed_limit = opt->embed_limit ? opt->embed_limit : EMBED_LIMIT,
                               .weights_file = scalec_beside_opener(&beside),
                               .arg = &beside,
                               .weights_name = opt->output,
                               .listing = opt->listing,
                               .fault_tail = opt->fault_tail};
        o = sc_codegen_entries(cx, n, entry, &cg, emit);
        settle_beside(&beside, o);
    }
    free(info);
    for (uint32_t i = 0; i < n; i++) {
        sc_graph_free((ScGraph *)entry[i].g);
        sc_graph_free((ScGraph *)entry[i].numbers);
    }
    return o;
}

ScObject *scalec_compile(ScCtx *cx, ScalecModel *m, const ScalecOptions *opt, ScEmit emit)
{
    ScalecEntry e = {"main", *m, NULL};
    m->graph = NULL;
    return scalec_compile_entries(cx, 1, &e, opt, emit);
}
