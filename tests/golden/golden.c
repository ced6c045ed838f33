/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every tests/golden/<pass>/NAME.sc: before and after in one file.
 *
 *   ; run: scalify --scaled-io          passes in order, --scaled-io, --recipe R,
 *                                     --scale tensor, --cache F, --scales dynamic, whatever the
 *                                     recipe says
 *   ; idempotent                        running them again on the result changes nothing
 *   ; rtol 1e-3                         the outputs may differ by this part of the largest one
 *   ; blob w rms 0.337                  data of the constant @w (all others: RMS 1.25)
 *   ; error: E0203 inner dimensions     the run ends in this error, which holds these words; there
 *                                       is then no graph after
 *   graph @before(...) ...
 *   ; --- why
 *   graph @after(...) ...
 *
 * After each pass the graph is verified and must survive print -> parse. Both graphs are evaluated
 * on random inputs; the values that they stand for must have the same bits, unless rtol says more.
 */
#include "passes/passes.h"
#include "tests/graphs.h"

#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINES 16

typedef struct Golden {
    const char *file;
    ScCtx *cx;
    const ScPass *pass[MAX_LINES];
    uint32_t n_pass;
    ScPassEnv env;
    bool idempotent;
    double rtol;
    const char *error[MAX_LINES];
    uint32_t n_error;
    struct {
        const char *name;
        double rms;
    } rms[MAX_LINES];
    uint32_t n_rms;
    ScStr stats; /* lines of values, as files of statistics have them */
    ScRecipe recipe;
    const ScBlob **blob; /* what the constants of the graph before are */
    uint32_t n_blob, cap_blob;
} Golden;

static glob_t files;

/* --- The header ------------------------------------------------------------------------------ */

static void read_run(Golden *t, char *words)
{
    for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        if (strcmp(w, "--scaled-io") == 0) {
            t->env.scaled_io = true;
        } else if (strcmp(w, "--scale") == 0) {
            w = strtok_r(NULL, " ", &save);
            ck_assert_msg(w && strcmp(w, "tensor") == 0 && t->env.recipe, "%s: scale", t->file);
            t->recipe = *t->env.recipe;
            t->recipe.scale = SC_BY_TENSOR;
            t->env.recipe = &t->recipe;
        } else if (strcmp(w, "--cache") == 0) {
            w = strtok_r(NULL, " ", &save);
            ck_assert_msg(w && t->env.recipe, "%s: cache", t->file);
            t->recipe = *t->env.recipe;
            t->recipe.cache = scrt_dtype_find(w, strlen(w));
            t->env.recipe = &t->recipe;
        } else if (strcmp(w, "--scales") == 0) {
            w = strtok_r(NULL, " ", &save);
            t->env.source = w ? sc_source_named(w) : SC_SOURCE_UNSAID;
            ck_assert_msg(t->env.source != SC_SOURCE_UNSAID, "%s: no scales", t->file);
        } else if (strcmp(w, "--recipe") == 0) {
            w = strtok_r(NULL, " ", &save);
            t->env.recipe = w ? sc_recipe(t->cx, w) : NULL;
            ck_assert_msg(t->env.recipe != NULL, "%s: no recipe", t->file);
        } else {
            const ScPass *p = sc_pass_find(t->cx, w);
            ck_assert_msg(p != NULL, "%s: no pass or flag is called %s", t->file, w);
            ck_assert_uint_lt(t->n_pass, MAX_LINES);
            t->pass[t->n_pass++] = p;
        }
    }
}

static void read_header_line(Golden *t, char *line)
{
    char name[64];
    double x;
    if (strncmp(line, "; run:", 6) == 0) {
        read_run(t, line + 6);
    } else if (strcmp(line, "; idempotent") == 0) {
        t->idempotent = true;
    } else if (sscanf(line, "; rtol %lf", &x) == 1) {
        t->rtol = x;
    } else if (sscanf(line, "; blob %63s rms %lf", name, &x) == 2) {
        ck_assert_uint_lt(t->n_rms, MAX_LINES);
        t->rms[t->n_rms].name = sc_intern(t->cx, name);
        t->rms[t->n_rms++].rms = x;
    } else if (strncmp(line, "; stats ", 8) == 0) {
        sc_str_addf(&t->stats, "%s\n", line + 8);
    } else if (strncmp(line, "; error: ", 9) == 0) {
        ck_assert_uint_lt(t->n_error, MAX_LINES);
        t->error[t->n_error++] = sc_intern(t->cx, line + 9);
    }
}

/* Reads the comment lines before the first graph. */
static void read_header(Golden *t, const char *text)
{
    while (*text == ';' || *text == '\n') {
        size_t n = strcspn(text, "\n");
        char line[512];
        ck_assert_uint_lt(n, sizeof line);
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        read_header_line(t, line);
        text += n + (text[n] == '\n');
    }
}

/* --- Constants ------------------------------------------------------------------------------- */

/* Normal data, scaled so that its RMS is what the header says. */
static const ScBlob *make_blob(Golden *t, const ScBlob *b)
{
    uint64_t r = sc_hash(SC_HASH, b->name, strlen(b->name));
    double want = 1.25, sum = 0;
    size_t bytes;
    for (uint32_t i = 0; i < t->n_rms; i++)
        if (strcmp(t->rms[i].name, b->name) == 0)
            want = t->rms[i].rms;
    ck_assert(scrt_bytes(b->dtype, b->count, &bytes));
    void *data = sc_alloc(sc_ctx_arena(t->cx), bytes + 1);
    double *x = sc_array(sc_ctx_arena(t->cx), double, b->count + 1);
    for (size_t i = 0; i < b->count; i++) {
        for (int k = 0; k < 12; k++)
            x[i] += sct_uniform(&r, -0.5, 0.5);
        sum += x[i] * x[i];
    }
    double scale = sum > 0 ? want / sqrt(sum / (double)b->count) : 1;
    for (size_t i = 0; i < b->count; i++)
        scrt_store(b->dtype, data, i, scrt_dtype_is_float(b->dtype) ? x[i] * scale : 4 * x[i],
                   true);
    return sc_blob(t->cx, b->name, b->dtype, b->rank, b->dims, data);
}

static void collect(Golden *t, const ScGraph *g)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if ((n->op->flags & SC_CONST_OP) && n->attr[0].blob->name)
            sc_buf_push(t->blob, t->n_blob, t->cap_blob, make_blob(t, n->attr[0].blob));
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            collect(t, n->sub[k]);
    }
}

static const ScBlob *find_blob(void *self, const char *name, uint64_t count)
{
    (void)count;
    const Golden *t = self;
    for (uint32_t i = 0; i < t->n_blob; i++)
        if (strcmp(t->blob[i]->name, name) == 0)
            return t->blob[i];
    return NULL;
}

static ScGraph *parse(Golden *t, const char *text, const char **rest)
{
    ScBlobSource src = {.find = find_blob, .self = t};
    return sc_parse(t->cx, t->file, text, &src, rest);
}

/* --- Evaluation ------------------------------------------------------------------------------ */

typedef struct Symbols {
    ScBinding *env;
    uint32_t n, cap;
    int64_t value; /* of the next new one */
} Symbols;

static void see_symbol(void *arg, const char *sym)
{
    Symbols *s = arg;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->env[i].sym == sym)
            return;
    ScBinding b = {.sym = sym, .value = s->value++};
    sc_buf_push(s->env, s->n, s->cap, b);
}

/* Sizes from 3 up for the symbols of shapes, then exponents from -2 up for the rest of what sources
 * have. */
static void bind_symbols(Symbols *s, const ScGraph *a, const ScGraph *b)
{
    s->value = 3;
    for (uint32_t i = 0; i < a->n_in; i++)
        for (uint32_t k = 0; k < sc_type_of(a, a->in[i])->rank; k++)
            sc_term_symbols(sc_type_of(a, a->in[i])->dim[k], see_symbol, s);
    s->value = -2;
    for (int side = 0; side < 2; side++) {
        const ScGraph *g = side ? b : a;
        for (ScVal v = SC_FIRST; v < g->n_value; v++) /* what a run finds is bound by nodes */
            if (g->value[v].exp && sc_def(g, v)->op->flags & SC_BARRIER)
                sc_term_symbols(g->value[v].exp, see_symbol, s);
    }
}

static int64_t exponent_of(const ScGraph *g, ScVal v, const Symbols *s)
{
    int64_t e = 0;
    const ScTerm *t = g->value[v].exp;
    ck_assert(!t || sc_term_eval(t, s->n, s->env, &e));
    return e;
}

/* Multiplies by 2^by, in place where there is enough of the type's range. */
static void shift(ScrtTensor *t, int64_t by)
{
    for (int64_t i = 0; by != 0 && i < scrt_count(t); i++)
        scrt_store((ScrtDtype)t->dtype, t->data, (size_t)i,
                   ldexp(scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i), (int)by), false);
}

static ScrtTensor *evaluate(Golden *t, const ScGraph *g, const ScrtTensor *in, const Symbols *s)
{
    ScrtTensor *data = calloc(g->n_in + 1u, sizeof *data);
    ScrtTensor *out = calloc(g->n_out + 1u, sizeof *out);
    ck_assert(data && out);
    for (uint32_t i = 0; i < g->n_in; i++) {
        size_t bytes;
        data[i] = in[i];
        ck_assert_int_eq(scrt_tensor_alloc(&data[i]), SCRT_OK);
        ck_assert(scrt_tensor_bytes(&data[i], &bytes));
        memcpy(data[i].data, in[i].data, bytes);
        shift(&data[i], -exponent_of(g, g->in[i], s));
    }
    ScEvalOptions opt = {.n_env = s->n, .env = s->env};
    ck_assert_msg(sc_eval(g, data, out, &opt), "%s: %s", t->file, sct_messages(t->cx));
    for (uint32_t i = 0; i < g->n_out; i++)
        shift(&out[i], exponent_of(g, g->out[i], s));
    sct_free(data, g->n_in);
    return out;
}

static bool close_to(const ScrtTensor *a, const ScrtTensor *b, double rtol)
{
    double most = 0, worst = 0;
    if (rtol == 0 || scrt_count(a) != scrt_count(b) || !scrt_dtype_is_float((ScrtDtype)a->dtype))
        return sct_same_bits(a, b);
    for (int64_t i = 0; i < scrt_count(a); i++) {
        double x = scrt_load((ScrtDtype)a->dtype, a->data, (size_t)i);
        double y = scrt_load((ScrtDtype)b->dtype, b->data, (size_t)i);
        most = fmax(most, fabs(x));
        worst = fmax(worst, x == y ? 0 : fabs(x - y));
        if (isnan(x) != isnan(y))
            return false;
    }
    return worst <= rtol * most;
}

static void compare(Golden *t, const ScGraph *before, const ScGraph *after)
{
    Symbols s = {0};
    uint64_t r = 1;
    bind_symbols(&s, before, after);
    ck_assert_msg(before->n_in == after->n_in && before->n_out == after->n_out,
                  "%s: inputs or outputs were lost", t->file);
    for (int round = 0; round < 3; round++) {
        ScrtTensor *in = sct_inputs(before, &r, -2, 2, s.n, s.env);
        ScrtTensor *a = evaluate(t, before, in, &s), *b = evaluate(t, after, in, &s);
        for (uint32_t i = 0; i < before->n_out; i++)
            ck_assert_msg(close_to(&a[i], &b[i], t->rtol),
                          "%s: output %u is not what it was before", t->file, i);
        sct_free(in, before->n_in);
        sct_free(a, before->n_out);
        sct_free(b, after->n_out);
    }
    sc_buf_free(s.env);
}

/* --- One file -------------------------------------------------------------------------------- */

static void check_round_trip(Golden *t, const ScGraph *g, const char *pass)
{
    ScStr why = {0};
    ScArena *a = sc_arena_new();
    ScBlobSource src = sc_graph_blobs(g, a);
    ck_assert_msg(sc_verify(g, pass), "%s: %s\n%s", t->file, sct_messages(t->cx), sct_print(g));
    ScGraph *back = sc_parse(t->cx, t->file, sct_print(g), &src, NULL);
    ck_assert_msg(back != NULL, "%s after %s: %s", t->file, pass, sct_messages(t->cx));
    ck_assert_msg(sc_graph_equal(g, back, &why), "%s after %s: text does not keep %s", t->file,
                  pass, sc_str_get(&why));
    sc_graph_free(back);
    sc_str_free(&why);
    sc_arena_free(a);
}

/* Runs the passes on g, which stays the caller's; NULL where one fails. */
static ScGraph *run_passes(Golden *t, const ScGraph *g)
{
    ScGraph *now = NULL;
    for (uint32_t i = 0; i < t->n_pass; i++) {
        ScGraph *next = sc_pass_run(t->cx, t->pass[i], now ? now : g, &t->env);
        sc_graph_free(now);
        now = next;
        if (!now)
            return NULL;
        check_round_trip(t, now, t->pass[i]->name);
    }
    return now ? now : sc_graph_clone(g);
}

static void check_errors(Golden *t)
{
    ck_assert_msg(sc_n_errors(t->cx) == t->n_error, "%s: %u errors, not %u:\n%s", t->file,
                  sc_n_errors(t->cx), t->n_error, sct_messages(t->cx));
    for (uint32_t i = 0; i < t->n_error; i++) {
        char number[8] = "";
        ScStr s = {0};
        const char *words = t->error[i] + strcspn(t->error[i], " ");
        snprintf(number, sizeof number, "%.*s", (int)(words - t->error[i]), t->error[i]);
        sc_diag_text(sc_diag(t->cx, i), &s);
        ck_assert_msg(strstr(sc_str_get(&s), number) &&
                          strstr(sc_str_get(&s), words + strspn(words, " ")),
                      "%s: expected '%s', got '%s'", t->file, t->error[i], sc_str_get(&s));
        sc_str_free(&s);
    }
}

/* The statistics of g that the header has. */
static void read_stats(Golden *t, const ScGraph *g)
{
    ScStr text = {0};
    if (t->stats.n == 0)
        return;
    sc_str_addf(&text, "scalec-stats 3\ngraph %016" PRIx64 "\n%s", sc_graph_hash(g),
                sc_str_get(&t->stats));
    t->env.scales = SC_SCALES_CALIBRATE;
    t->env.stats = sc_stats_parse(t->cx, t->file, sc_str_get(&text));
    ck_assert_msg(t->env.stats != NULL, "%s", sct_messages(t->cx));
    sc_str_free(&text);
}

/* Constants that the passes made: their names follow from their content. */
static void collect_folded(Golden *t, const ScGraph *got)
{
    for (uint32_t i = 0; i < got->n_node; i++) {
        const ScNode *n = &got->node[i];
        const ScBlob *b = n->op->flags & SC_CONST_OP ? n->attr[0].blob : NULL;
        if (b && b->name && strncmp(b->name, "fold.", 5) == 0)
            sc_buf_push(t->blob, t->n_blob, t->cap_blob, b);
    }
}

static void check_result(Golden *t, const ScGraph *before, const ScGraph *got, const char *rest)
{
    ScStr why = {0};
    collect_folded(t, got);
    ScGraph *after = parse(t, rest, NULL);
    ck_assert_msg(after != NULL, "%s: the graph after: %s", t->file, sct_messages(t->cx));
    ck_assert_msg(sc_graph_equal(got, after, &why), "%s: %s; the passes give\n%s", t->file,
                  sc_str_get(&why), sct_print(got));
    compare(t, before, got);
    if (t->idempotent) {
        ScGraph *again = run_passes(t, got);
        ck_assert_msg(again != NULL, "%s: again: %s", t->file, sct_messages(t->cx));
        ck_assert_msg(sc_graph_equal(got, again, &why), "%s: not idempotent: %s\n%s", t->file,
                      sc_str_get(&why), sct_print(again));
        sc_graph_free(again);
    }
    sc_graph_free(after);
    sc_str_free(&why);
}

static void run_file(const char *path, const char *shown)
{
    Golden t = {.file = shown, .cx = sc_ctx_new()};
    char *text = sct_read(path, NULL);
    const char *rest = "";
    read_header(&t, text);
    ScGraph *g =
        sc_parse(t.cx, shown, text, NULL, &rest); /* once to see which constants it names */
    if (g) {
        collect(&t, g);
        sc_graph_free(g);
        g = parse(&t, text, &rest);
    }
    if (g)
        read_stats(&t, g);
    ScGraph *got = g ? run_passes(&t, g) : NULL;
    if (t.n_error || !got)
        check_errors(&t);
    if (t.n_error)
        ck_assert_msg(got == NULL, "%s: errors, but a graph came out", shown);
    else
        check_result(&t, g, got, rest);
    sc_graph_free(got);
    sc_graph_free(g);
    sc_buf_free(t.blob);
    sc_str_free(&t.stats);
    free(text);
    sc_ctx_free(t.cx);
}

START_TEST(no_files)
{
    sct_skip("no file fits the pattern");
}
END_TEST

START_TEST(golden)
{
    const char *path = files.gl_pathv[_i], *shown = strstr(path, "tests/golden/");
    run_file(path, shown ? shown : path);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("golden");
    TCase *c = tcase_create("golden");
    /* test-golden [PATTERN]: only tests/golden/PATTERN, by default all of them */
    char pattern[512];
    snprintf(pattern, sizeof pattern, "tests/golden/%s", argc > 1 ? argv[1] : "*/*.sc");
    if (glob(sct_source(pattern), 0, NULL, &files) != 0)
        files.gl_pathc = 0;
    if (files.gl_pathc)
        tcase_add_loop_test(c, golden, 0, (int)files.gl_pathc);
    else
        tcase_add_test(c, no_files);
    suite_add_tcase(s, c);
    int status = sct_main("golden", s);
    globfree(&files);
    return status;
}
