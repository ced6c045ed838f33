/* SPDX-License-Identifier: Apache-2.0 */
/* scalec compile, and the hooks of the pipeline that other subcommands use too. */
#include "tools/scalec/cli.h"
#include "tools/scalec/hooks.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- Hooks ------------------------------------------------------------------------------------ */

static void after(void *arg, const char *stage, const ScGraph *g)
{
    Cli *cli = arg;
    cli_watch_nodes(cli->watch, stage, g->n_node);
    if (!strcmp(stage, "import"))
        scalec_summary(g, &cli->given);
    if (strcmp(stage, "expand") && strcmp(stage, "layout") && !(g->flags & SC_G_KERNELS))
        scalec_summary(g, &cli->last);
    if (cli->dump_after && (!strcmp(cli->dump_after, stage) || !strcmp(cli->dump_after, "all"))) {
        sc_str_addf(&cli->dumped, "; after %s\n", stage);
        sc_print(g, SC_PRINT_COMMENTS, &cli->dumped);
    }
}

bool hooks_begin(Cli *cli, const ScalecModel *m, ScalecSamples **ret_samples)
{
    *ret_samples = NULL;
    cli->opt.after = after;
    cli->opt.arg = cli;
    if (!cli->eval_each)
        return true;
    *ret_samples = scalec_samples_open(cli->cx, m->graph, cli->data, &cli->sample);
    cli->opt.eval_rtol = cli->rtol;
    return *ret_samples && scalec_samples_get(*ret_samples, 0, &cli->opt.eval_in);
}

bool hooks_end(Cli *cli, ScalecSamples *samples, bool ok)
{
    scalec_samples_close(samples);
    cli->opt.eval_in = NULL;
    if (ok && cli->dump_after && cli->dumped.n == 0)
        ok = sc_fail_file(cli->cx, NULL, SC_E_STAGE, "--dump-after: there was no stage \"%s\"",
                          cli->dump_after);
    return (!ok || cli->dumped.n == 0 ||
            scalec_write_file(cli->cx, "-", cli->dumped.s, cli->dumped.n)) &&
           ok;
}

/* --- compile ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    ScEmit emit;
} kinds[] = {[SCALEC_EXE] = {"exe", SC_EMIT_OBJ},
             [SCALEC_SO] = {"so", SC_EMIT_OBJ},
             [SCALEC_OBJ] = {"obj", SC_EMIT_OBJ},
             [SCALEC_ASM] = {"asm", SC_EMIT_ASM},
             [SCALEC_LLVM] = {"llvm", SC_EMIT_LLVM}};

ScalecOutput cli_emit_kind(const Cli *cli)
{
    ScalecOutput k = SCALEC_EXE;
    while (cli->emit && strcmp(kinds[k].name, cli->emit)) /* one of them: the options see to it */
        k++;
    return k;
}

/* It goes into C text and an object's symbol table. */
static bool is_identifier(const char *s)
{
    static const char letters[] = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strspn(s, letters);
    while (n > 0 && (strchr(letters, s[n]) || (s[n] >= '0' && s[n] <= '9')) && s[n])
        n++;
    return n > 0 && s[n] == '\0';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What a name may not be: a word of C or C++, a macro, type or function of its library, or the
 * runtime's. NULL: it may be the model's. */
static const char *taken_by(const char *name)
{
    static const char words[] =
        "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class "
        "compl concept const consteval constexpr constinit const_cast continue decltype default "
        "delete do double dynamic_cast else enum explicit export extern false float for friend "
        "goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or "
        "or_eq private protected public register reinterpret_cast requires restrict return "
        "short signed sizeof static static_assert static_cast struct switch template this "
        "thread_local throw true try typedef typeid typename typeof union unsigned using "
        "virtual void volatile wchar_t while xor xor_eq";
    static const char library[] = "main linux unix alloca NULL EOF BUFSIZ offsetof assert errno "
                                  "va_start va_arg va_end va_copy";
    size_t n = strlen(name);
    const char *end = n > 4 ? name + n - 4 : "";
    if (cli_is_word(words, name))
        return "a word of C or C++";
    if (!strncasecmp(name, "scrt", 4))
        return "a name of the runtime";
    if (name[0] == '_' || cli_is_word(library, name) || (n > 2 && !strcmp(name + n - 2, "_t")) ||
        !strcmp(end, "_MAX") || !strcmp(end, "_MIN") || dlsym(RTLD_DEFAULT, name))
        return "a name of C's library";
    return NULL;
}

/* The model's name in C, after the file that it goes to: out/m5.o -> m5. What cannot be one gets
 * "model_" in front, and _ for what is no letter or digit. */
static const char *symbol_of(Cli *cli, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strchr(*name == '.' ? name + 1 : name, '.');
    size_t n = dot ? (size_t)(dot - name) : strlen(name);
    char *id = sc_printf(sc_ctx_arena(cli->cx), "model_%.*s", (int)n, name), *own = id + 6;
    for (char *p = own; *p; p++)
        if (!is_letter(*p) && !(*p >= '0' && *p <= '9'))
            *p = '_';
    return is_letter(*own) && !taken_by(own) ? own : id;
}

/* "f8e4m3fn in 3 of 4 matmuls and convolutions": where values are stored low. */
static void low_text(const ScalecSummary *s, ScStr *out)
{
    for (uint32_t i = 0; i < s->n_low; i++) {
        const char *type = scrt_dtype_name(s->low[i].dtype);
        if (s->low[i].all)
            sc_str_addf(out, "%s%s in %u", out->n ? ", " : "", type, s->low[i].all);
        if (s->low[i].some)
            sc_str_addf(out, "%s%s beside wider operands in %u", out->n ? ", " : "", type,
                        s->low[i].some);
    }
    if (s->n_low)
        sc_str_addf(out, " of %u matmuls and convolutions", s->n_product);
    else if (s->n_product)
        sc_str_addf(out, "none of %u matmuls and convolutions stored low", s->n_product);
}

/* What runs of the f32 graph say of the program's outputs. */
typedef struct Cost {
    bool known, synthetic, failed, foreign;
    const char *on; /* "samples" or "synthetic inputs" */
    ScalecCost cost;
} Cost;

static Cost cost_of(Cli *cli, ScObject *o)
{
    bool samples = cli->opt.scales == SC_SCALES_CALIBRATE && !cli_is_stats(cli->calibrate);
    Cost c = {.synthetic = !samples, .failed = cli->runs_failed, .foreign = o->foreign};
    c.on = c.synthetic ? "synthetic inputs" : "samples";
    SC_STAGE(cli->cx, "cost");
    c.known = cli->runs.n > 0 && scalec_cost(cli->cx, o, &cli->runs, &c.cost);
    return c;
}

static void cost_text(const Cost *c, ScStr *out)
{
    const char *gap = out->n ? "; " : ""; /* without products there is nothing before it */
    if (!c->known) {
        if (c->foreign)
            sc_str_addf(out, "%s%s", gap,
                        "what that costs was not measured, since the program runs elsewhere: "
                        "scalec check --data PATH measures it on this machine");
        else if (c->failed)
            sc_str_addf(out, "%s%s", gap,
                        "what that costs is not known, since synthetic inputs do not fit: "
                        "scalec check --data PATH measures it on real ones");
        return;
    }
    sc_str_addf(out, "%soutputs beside f32's on %s: ", gap, c->on);
    if (isinf(c->cost.sqnr) && c->cost.sqnr > 0)
        sc_str_add(out, "the same");
    else if (isinf(c->cost.sqnr))
        sc_str_add(out, "not finite, or of other sizes");
    else
        sc_str_addf(out, "SQNR %.1f dB", c->cost.sqnr);
    if (c->cost.rows > 0)
        sc_str_addf(out, ", top-1 the same in %llu of %llu", (unsigned long long)c->cost.same,
                    (unsigned long long)c->cost.rows);
    if (c->synthetic)
        sc_str_add(out, "; scalec check --data PATH measures on real ones");
}

static json_t *cost_json(const Cost *c)
{
    if (!c->known)
        return json_null();
    return json_pack("{s:s, s:o, s:I, s:I}", "on", c->on, "sqnr_db", cli_json_real(c->cost.sqnr),
                     "rows", (json_int_t)c->cost.rows, "same_top1", (json_int_t)c->cost.same);
}

static json_t *summary_json(const Cli *cli, const ScObject *o, const Cost *c)
{
    const ScalecSummary *s = &cli->last;
    json_t *low = json_array();
    for (uint32_t i = 0; i < s->n_low; i++)
        json_array_append_new(
            low, json_pack("{s:s, s:I, s:I}", "dtype", scrt_dtype_name(s->low[i].dtype), "all",
                           (json_int_t)s->low[i].all, "beside_wider", (json_int_t)s->low[i].some));
    json_t *levels = json_array();
    for (uint32_t i = 0; i < o->n_level; i++)
        json_array_append_new(levels, json_pack("{s:s, s:I}", "name", o->level[i].name, "weights",
                                                (json_int_t)o->level[i].weights));
    return json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:o, s:o}", "output", cli->output, "kernels",
                     (json_int_t)o->n_kernel, "levels", levels, "constants_before",
                     (json_int_t)cli->given.constants, "weights", (json_int_t)o->n_weights,
                     "products", (json_int_t)s->n_product, "low", low, "cost", cost_json(c));
}

/* "(packed for speed; x86-64-v3 reads 30184, x86-64-v4 30184)": of several levels how much each
 * reads, so that one sees what is stored for one alone. */
static void packed_text(const Cli *cli, const ScObject *o, ScStr *out)
{
    bool more = o->n_weights > cli->given.constants;
    if (!more && o->n_level == 1)
        return;
    sc_str_add(out, more ? " (packed for speed" : " (");
    for (uint32_t i = 0; i < o->n_level && o->n_level > 1; i++)
        sc_str_addf(out, "%s%s%s %llu",
                    i      ? ", "
                    : more ? "; "
                           : "",
                    o->level[i].name, i ? "" : " reads", (unsigned long long)o->level[i].weights);
    sc_str_add(out, ")");
}

/* "weights 23976 -> 30184 bytes": why there are more of them, and the file that has them. */
static void weights_text(const Cli *cli, const ScObject *o, ScStr *out)
{
    sc_str_addf(out, "weights %llu -> %llu bytes", (unsigned long long)cli->given.constants,
                (unsigned long long)o->n_weights);
    packed_text(cli, o, out);
    if (!o->embedded && o->n_weights)
        sc_str_addf(out, " in %s.weights", cli->output);
}

/* What was made, in a line, and how it is linked; a program's JSON, which says both, goes to
 * standard output, unless the result does. */
static void conclude(const Cli *cli, const ScObject *o, ScalecOutput kind, const Cost *c)
{
    ScStr low = {0}, weights = {0};
    json_t *j = cli->json ? summary_json(cli, o, c) : NULL;
    const char *link = cli->print_link ? scalec_link_line(cli->cx, kind, cli->output) : NULL;
    if (j && link)
        json_object_set_new(j, "link", json_string(link));
    bool taken = !strcmp(cli->output, "-");
    low_text(&cli->last, &low);
    cost_text(c, &low);
    weights_text(cli, o, &weights);
    if (j && !taken)
        cli_print_json(j);
    else if (!cli->json)
        fprintf(stderr, "%s: %u kernel%s%s, %s%s%s\n", cli->output, o->n_kernel,
                o->n_kernel == 1 ? "" : "s", o->n_level > 1 ? " on each level" : "",
                sc_str_get(&weights), low.n ? ", " : "", sc_str_get(&low));
    if (link && !j)
        printf("%s\n", link);
    json_decref(j);
    sc_str_free(&low);
    sc_str_free(&weights);
}

/* The whole path of a file that need not exist; NULL after a message where its folder does not. */
static const char *whole_path(Cli *cli, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    if (!realpath(scalec_folder(cli->cx, path), folder)) {
        sc_fail_file(cli->cx, path, SC_E_WRITE, "%s", strerror(errno));
        return NULL;
    }
    return sc_printf(sc_ctx_arena(cli->cx), "%s/%s", folder, slash ? slash + 1 : path);
}

static bool write_listing(Cli *cli, const ScObject *o)
{
    return !cli->lines || scalec_write_file(cli->cx, cli->lines, o->listing, strlen(o->listing));
}

int cmd_compile(Cli *cli)
{
    ScalecOutput kind = cli_emit_kind(cli);
    uint32_t n = 0;
    ScalecEntry *e = NULL;
    ScalecSamples *samples = NULL;
    if (cli->opt.symbol && !is_identifier(cli->opt.symbol))
        return cli_misuse(cli, "--symbol: \"%s\" is no C identifier", cli->opt.symbol);
    const char *whose = cli->opt.symbol ? taken_by(cli->opt.symbol) : NULL;
    if (whose)
        return cli_misuse(cli, "--symbol: \"%s\" is %s: take another, such as model_%s",
                          cli->opt.symbol, whose, cli->opt.symbol);
    if (!cli->output)
        return cli_misuse(cli, "where to? -o OUT");
    if ((kind == SCALEC_EXE || kind == SCALEC_SO) && sc_target_is_elsewhere(cli->opt.target))
        return cli_misuse(cli,
                          "--target %s: programs are linked for this machine alone; --emit obj "
                          "makes an object, which is linked there",
                          cli->opt.target);
    if (!cli->opt.symbol)
        cli->opt.symbol = symbol_of(cli, cli->output);
    if (kinds[kind].emit == SC_EMIT_OBJ)
        cli->opt.output = cli->output;
    bool ok =
        cli_can_write(cli) && (!cli->lines || (cli->opt.listing = whole_path(cli, cli->lines)));
    ok = ok && cli_load_entries(cli, &e, &n) && hooks_begin(cli, &e->model, &samples);
    ScObject *o = ok ? scalec_compile_entries(cli->cx, n, e, &cli->opt, kinds[kind].emit) : NULL;
    Cost cost = o ? cost_of(cli, o) : (Cost){0};
    ok = hooks_end(cli, samples, o != NULL) && write_listing(cli, o) &&
         scalec_write(cli->cx, o, kind, cli->output);
    int status = ok ? cli_done(cli) : cli_failed(cli);
    if (ok)
        conclude(cli, o, kind, &cost);
    scalec_object_free(o);
    for (uint32_t i = 0; i < n; i++)
        sc_graph_free(e[i].model.graph);
    return status;
}
