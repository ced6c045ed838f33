/* SPDX-License-Identifier: Apache-2.0 */
/* The official ONNX backend tests: each folder holds a model, inputs and expected outputs. Every
 * folder whose operators are supported is imported, evaluated, compiled and run; both results must
 * agree with the expected ones. A folder with an operator that is not supported is counted apart,
 * not skipped over: the runner prints how many there are. $SCT_ONNX names onnx/backend/test/data of
 * the onnx package.
 *
 * The models take shapes, axes and bounds as inputs, which a compiled program must know: where
 * import says that a shape depends on data, integers and short lists of numbers are fixed to the
 * values of the test.
 *
 * onnx-backend --cases DIR runs folders of the same form that cases.py made: nothing is fixed or
 * refused there, compiled code is tried for an older target too, and where a file EXPECT
 * holds words, import must fail with them. */
#include "runtime/handles.h"
#include "tests/codegen/cpus.h"
#include "tests/guarded.h"
#include "tests/harness.h"
#include "tools/libscalec/scalec.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const groups[] = {"node", "simple", "pytorch-converted", "pytorch-operator"};

typedef struct Counts {
    int passed, failed, unsupported, random, other;
} Counts;

typedef struct Test {
    const char *dir;
    bool own; /* one of cases.py's */
    ScCtx *cx;
    ScGraph *g;
    ScrtNamed in[SC_MAX_IN];
    ScrtNamed want[SC_MAX_OUT];
    uint32_t n_in, n_want;
    char why[1024];
} Test;

static bool lost(Test *t, const char *what)
{
    ScStr s = {0};
    if (sc_n_errors(t->cx) > 0)
        sc_diag_text(sc_diag(t->cx, 0), &s);
    snprintf(t->why, sizeof t->why, "%s: %s", what, sc_str_get(&s));
    sc_str_free(&s);
    return false;
}

/* *ret_other: some file holds no tensor, but a sequence or an optional. */
static uint32_t read_tensors(const char *dir, const char *kind, ScrtNamed *to, uint32_t max,
                             bool *ret_other)
{
    uint32_t n = 0;
    for (; n < max; n++) {
        char path[4096];
        struct stat st;
        ScrtIoError err;
        snprintf(path, sizeof path, "%s/test_data_set_0/%s_%u.pb", dir, kind, n);
        if (stat(path, &st) != 0)
            break;
        if (scrt_pb_read(path, &to[n], &err) != SCRT_OK) {
            *ret_other = true;
            break;
        }
    }
    return n;
}

/* Imports; where a shape depends on data, again with the inputs fixed that are integers, bools or
 * a few numbers, such as scales. */
static bool import(Test *t)
{
    char path[4096];
    ScrtFile file;
    snprintf(path, sizeof path, "%s/model.onnx", t->dir);
    if (t->own) {
        ScalecModel m = {0};
        bool ok = scalec_load(t->cx, path, NULL, &m);
        t->g = m.graph;
        return ok;
    }
    if (!scalec_open(t->cx, path, &file))
        return false;
    t->g = sc_import(t->cx, path, file.data, file.n, NULL);
    bool depends = !t->g && sc_n_errors(t->cx) > 0 && sc_diag(t->cx, 0)->id == SC_E_DYNAMIC;
    if (depends) {
        sc_graph_free(t->g);
        const char *name[SC_MAX_IN];
        ScrtTensor value[SC_MAX_IN];
        ScImportOptions opt = {.fix_name = name, .fix = value};
        for (uint32_t i = 0; i < t->n_in; i++)
            if (!scrt_dtype_is_float((ScrtDtype)t->in[i].tensor.dtype) ||
                (t->in[i].tensor.rank <= 1 && scrt_count(&t->in[i].tensor) <= 8)) {
                name[opt.n_fix] = t->in[i].name;
                value[opt.n_fix++] = t->in[i].tensor;
            }
        sc_clear_diags(t->cx);
        t->g = sc_import(t->cx, path, file.data, file.n, &opt);
    }
    scrt_file_close(&file);
    return t->g != NULL;
}

/* The test's inputs in the order of the graph's: by name, or by place where the files hold no
 * names. */
static bool order_inputs(Test *t, const ScGraph *g, ScrtTensor *in)
{
    for (uint32_t i = 0; i < g->n_in; i++) {
        const char *name = g->value[g->in[i]].name;
        uint32_t k = 0;
        while (k < t->n_in && strcmp(t->in[k].name, name))
            k++;
        if (k == t->n_in)
            k = i;
        if (k >= t->n_in)
            return lost(t, "an input is missing");
        in[i] = t->in[k].tensor;
    }
    return true;
}

static bool compare(Test *t, const char *who, const ScrtTensor *got, const ScGraph *g)
{
    for (uint32_t i = 0; i < g->n_out && i < t->n_want; i++) {
        const ScrtTensor *want = &t->want[i].tensor;
        bool same = got[i].dtype == want->dtype && got[i].rank == want->rank;
        for (uint32_t k = 0; same && k < want->rank; k++)
            same = got[i].dims[k] == want->dims[k];
        if (!same) {
            snprintf(t->why, sizeof t->why, "%s: output %u has another type or shape", who, i);
            return false;
        }
        for (int64_t e = 0; e < scrt_count(want); e++) {
            if (want->dtype == SCRT_STRING) {
                ScrtChars x = scrt_chars(NULL, &got[i], e), y = scrt_chars(NULL, want, e);
                if (scrt_chars_equal(x, y))
                    continue;
                snprintf(t->why, sizeof t->why,
                         "%s: output %u, element %lld: '%.*s', expected '%.*s'", who, i,
                         (long long)e, (int)x.n, x.at, (int)y.n, y.at);
                return false;
            }
            double x = scrt_load((ScrtDtype)got[i].dtype, got[i].data, (size_t)e);
            double y = scrt_load((ScrtDtype)want->dtype, want->data, (size_t)e);
            double rtol = got[i].dtype == SCRT_F16 || got[i].dtype == SCRT_BF16 ? 1e-2 : 1e-3;
            if (!(x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= 1e-5 + rtol * fabs(y))) {
                snprintf(t->why, sizeof t->why, "%s: output %u, element %lld: %.9g, expected %.9g",
                         who, i, (long long)e, x, y);
                return false;
            }
        }
    }
    return true;
}

/* Types under 8 bits are stored, not computed with: the evaluator converts them, compiled code does
 * not. */
static bool has_packed_type(const ScGraph *g)
{
    for (uint32_t v = SC_FIRST; v < g->n_value; v++)
        if (scrt_dtype_bits(g->value[v].type->dtype) < 8)
            return true;
    return false;
}

static void forget(Test *t)
{
    for (uint32_t i = 0; i < t->n_in; i++) {
        scrt_free(t->in[i].name);
        scrt_free(t->in[i].tensor.data);
    }
    for (uint32_t i = 0; i < t->n_want; i++) {
        scrt_free(t->want[i].name);
        scrt_free(t->want[i].tensor.data);
    }
    sc_graph_free(t->g);
    sc_ctx_free(t->cx);
}

static bool evaluate(Test *t)
{
    ScrtTensor in[SC_MAX_IN], out[SC_MAX_OUT] = {0};
    bool ok = order_inputs(t, t->g, in) &&
              (sc_eval(t->g, in, out, NULL) || lost(t, "evaluation")) &&
              compare(t, "evaluated", out, t->g);
    for (uint32_t i = 0; i < t->g->n_out; i++)
        scrt_free(out[i].data);
    return ok;
}

static bool compiled(Test *t, const char *cpu)
{
    ScrtTensor in[SC_MAX_IN], out[SC_MAX_OUT] = {0};
    ScalecModel m = {.graph = sc_graph_clone(t->g), .path = t->dir};
    ScObject *o = scalec_compile(t->cx, &m, &(ScalecOptions){.cpu = cpu}, SC_EMIT_OBJ);
    ScLoaded *l = o ? sc_load(t->cx, o) : NULL;
    ScrtSession *s = NULL;
    bool ok = l || lost(t, "compiling");
    if (ok && scrt_open(sc_loaded_model(l), &(ScrtOptions){.n_thread = 2, .weights = o->weights},
                        &s) != SCRT_OK)
        ok = lost(t, "opening");
    ok = ok && order_inputs(t, t->g, in);
    if (ok && scrt_run(s, in, out) != SCRT_OK) {
        snprintf(t->why, sizeof t->why, "running: %s", scrt_error(s));
        ok = false;
    }
    ok = ok && compare(t, cpu ? cpu : "compiled", out, t->g);
    for (uint32_t i = 0; i < t->g->n_out; i++)
        scrt_free(out[i].data);
    scrt_close(s);
    if (l)
        sc_unload(l);
    sc_object_free(o);
    return ok;
}

/* For the host; a case of our own also for one of the older targets in turn. A sanitizer sees the
 * compiler alone: there it is one of the three. */
static bool compiled_for(Test *t, int turn)
{
    const char *old = turn % 2 && sct_runs("x86-64-v3") ? "x86-64-v3" : "x86-64-v2";
    if (!t->own || (SCT_SANITIZED && turn % 3 == 0))
        return compiled(t, NULL);
    return (SCT_SANITIZED || compiled(t, NULL)) && compiled(t, old);
}

/* The words that a case must fail with; NULL where it must not. */
static char *expected_words(const char *dir)
{
    char path[4096], *words = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/EXPECT", dir);
    FILE *f = fopen(path, "r");
    ssize_t got = f ? getline(&words, &n, f) : -1;
    if (f)
        fclose(f);
    if (got > 0 && words[got - 1] == '\n')
        words[got - 1] = '\0';
    if (got > 0)
        return words;
    free(words);
    return NULL;
}

/* Some message, as the user sees it, holds the words. */
static bool says(Test *t, const char *words)
{
    bool found = false;
    for (uint32_t i = 0; !found && i < sc_n_diags(t->cx); i++) {
        ScStr s = {0};
        sc_diag_text(sc_diag(t->cx, i), &s);
        found = strstr(sc_str_get(&s), words) != NULL;
        sc_str_free(&s);
    }
    return found;
}

static void run_case(const char *dir, Counts *c)
{
    Test t = {.dir = dir, .own = true, .cx = sc_ctx_new()};
    char *words = expected_words(dir);
    bool other = false;
    t.n_in = read_tensors(dir, "input", t.in, SC_MAX_IN, &other);
    t.n_want = read_tensors(dir, "output", t.want, SC_MAX_OUT, &other);
    bool imported = import(&t), ok = imported && evaluate(&t), late = imported && !ok;
    t.why[0] = late && words ? '\0' : t.why[0];
    ok = ok && compiled_for(&t, c->passed + c->failed);
    if (words && imported && (!late || compiled(&t, NULL)))
        snprintf(t.why, sizeof t.why, "accepted, though it must fail with \"%s\"", words);
    else if (words && late && says(&t, words)) /* refused where it runs, evaluated and compiled */
        t.why[0] = '\0';
    else if (words && !says(&t, words))
        lost(&t, "fails with other words");
    else if (!words && !imported)
        lost(&t, "import");
    ok = words ? !t.why[0] : ok;
    c->passed += ok;
    c->failed += !ok;
    if (!ok)
        printf("FAIL %s: %s\n", strrchr(dir, '/') + 1, t.why);
    free(words);
    forget(&t);
}

static void run_folder(const char *dir, Counts *c)
{
    Test t = {.dir = dir, .cx = sc_ctx_new()};
    bool other = false;
    t.n_in = read_tensors(dir, "input", t.in, SC_MAX_IN, &other);
    t.n_want = read_tensors(dir, "output", t.want, SC_MAX_OUT, &other);
    if (other) {
        c->other++;
    } else if (!import(&t)) {
        ScDiagId id = sc_n_errors(t.cx) > 0 ? sc_diag(t.cx, 0)->id : SC_E_VERIFY;
        if (id == SC_E_UNSUPPORTED || id == SC_E_OPSET) {
            c->unsupported++;
        } else {
            lost(&t, "import");
            c->failed++;
        }
    } else if (t.g->n_state > 0) { /* the only state that import makes counts what is drawn */
        c->random++;
    } else if (evaluate(&t) && (has_packed_type(t.g) || compiled(&t, NULL))) {
        c->passed++;
    } else {
        c->failed++;
    }
    if (t.why[0])
        printf("FAIL %s: %s\n", strrchr(dir, '/') + 1, t.why);
    forget(&t);
}

/* Every folder of a folder that holds a model, in the order of their names. */
static void run_folders(const char *path, const char *filter, void (*run)(const char *, Counts *),
                        Counts *c)
{
    struct dirent **entry;
    struct stat st;
    int n = scandir(path, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char dir[4096], model[4200];
        snprintf(dir, sizeof dir, "%s/%s", path, entry[i]->d_name);
        snprintf(model, sizeof model, "%s/model.onnx", dir);
        if (entry[i]->d_name[0] != '.' && (!filter || strstr(entry[i]->d_name, filter)) &&
            stat(model, &st) == 0)
            run(dir, c);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

int main(int argc, char **argv)
{
    const char *root = getenv("SCT_ONNX");
    Counts c = {0};
    sct_guard_memory();
    if (argc > 2 && !strcmp(argv[1], "--cases")) {
        run_folders(argv[2], argc > 3 ? argv[3] : NULL, run_case, &c);
        printf("onnx-cases: %d passed, %d failed, 0 skipped\n", c.passed, c.failed);
        return c.failed || !c.passed;
    }
    if (!root) {
        printf("SKIP onnx-backend: $SCT_ONNX does not name the test data of the onnx package\n"
               "onnx-backend: 0 passed, 0 failed, 1 skipped\n");
        return 0;
    }
    for (size_t k = 0; k < sizeof groups / sizeof *groups; k++) {
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", root, groups[k]);
        run_folders(path, argc > 1 ? argv[1] : NULL, run_folder, &c);
    }
    printf(
        "%d folders use operators that are not supported, %d draw random numbers, %d have data "
        "that are no tensors of numbers: cases_random.py and cases_sequences.py have what can be "
        "tested\n",
        c.unsupported, c.random, c.other);
    printf("onnx-backend: %d passed, %d failed, 0 skipped\n", c.passed, c.failed);
    return c.failed ? 1 : 0;
}
