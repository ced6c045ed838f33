/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes: which operands are stored in which format. The built-in ones are rows of a table; a file
 * says the same in lines, `;` begins a comment:
 *
 *   name = careful
 *   activation = f8e4m3fn
 *   weight = f8e4m3fn
 *   scale = channel                        or tensor, or block
 *   scales = static                        or dynamic, dynamic-rows, delayed
 *   window = 16                            runs that delayed scales remember,
 *   margin = 1                             and the bits that they keep free
 *   round = growth
 *   bias = corrected                       or kept
 *   cache = f32                            what states hold that grow
 *   rows = i8                              or i16, f32: few rows beside weights of 4 bits
 *   rescale "add.*"
 *   layer "head.*" activation=f32 weight=f32 scale=tensor scales=dynamic
 *   site "*.gelu" format=f8e5m2
 *
 * A pattern is a shell pattern over the names of ONNX nodes, of a site over those of tensors; the
 * last one that matches wins, and sites are above layers. */
#include "passes/scale_priv.h"
#include "runtime/scrtio.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BITS = 8, WINDOW = 16, MOST_WINDOW = 1024, MARGIN = 1, MOST_MARGIN = 16 };

#define BUILTIN(called, of_activations, of_weights, by)                                            \
    {.name = called,                                                                               \
     .activation = of_activations,                                                                 \
     .weight = of_weights,                                                                         \
     .scale = by,                                                                                  \
     .row_bits = ROW_BITS,                                                                         \
     .window = WINDOW,                                                                             \
     .margin = MARGIN}
static const ScRecipe builtin[] = {
    BUILTIN("f32", SCRT_F32, SCRT_F32, SC_BY_TENSOR),
    BUILTIN("f16", SCRT_F16, SCRT_F16, SC_BY_TENSOR),
    BUILTIN("bf16", SCRT_BF16, SCRT_BF16, SC_BY_TENSOR),
    BUILTIN("fp8", SCRT_F8E4M3FN, SCRT_F8E4M3FN, SC_BY_CHANNEL),
    BUILTIN("fp8-weights", SCRT_F32, SCRT_F8E4M3FN, SC_BY_CHANNEL),
    BUILTIN("mxfp8", SCRT_F8E4M3FN, SCRT_F8E4M3FN, SC_BY_BLOCK),
    BUILTIN("mxfp6", SCRT_F8E4M3FN, SCRT_F6E2M3, SC_BY_BLOCK),
    BUILTIN("mxfp4-weights", SCRT_F32, SCRT_F4E2M1, SC_BY_BLOCK),
};
#define N_BUILTIN (sizeof builtin / sizeof *builtin)

/* Recipes that do not exist, by whose names somebody may ask: the reason is said. */
static const char *const later[][2] = {
    {"fp8-train", "needs gradients and an optimizer, which this version does not have"},
};

static const ScrtDtype formats[] = {SCRT_F32,    SCRT_F16,        SCRT_BF16,       SCRT_F8E4M3FN,
                                    SCRT_F8E5M2, SCRT_F8E4M3FNUZ, SCRT_F8E5M2FNUZ, SCRT_F6E2M3,
                                    SCRT_F6E3M2, SCRT_F4E2M1};
#define N_FORMAT (sizeof formats / sizeof *formats)

#define MAX_FILE (1u << 20)

typedef struct Reader {
    ScCtx *cx;
    const char *file, *p;
    uint32_t line;
} Reader;

static bool fail(Reader *r, const char *what, const char *got)
{
    return sc_fail(r->cx, sc_loc(r->cx, r->file, r->line, SC_FORWARD, 0, NULL), SC_E_RECIPE,
                   "%s '%s'", what, got);
}

static void blanks(Reader *r)
{
    while (*r->p == ' ' || *r->p == '\t' || *r->p == '\r')
        r->p++;
}

static bool at_end(Reader *r)
{
    blanks(r);
    return *r->p == '\n' || *r->p == ';' || *r->p == '\0';
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-_.", c));
}

static bool is_word(const char *s)
{
    size_t n = 0;
    while (is_word_char(s[n]))
        n++;
    return n > 0 && !s[n];
}

/* A word of letters, digits and -_. of the line, interned; "" where there is none. */
static const char *word(Reader *r)
{
    blanks(r);
    const char *from = r->p;
    while (is_word_char(*r->p))
        r->p++;
    return sc_intern_n(r->cx, from, (size_t)(r->p - from));
}

static bool equals(Reader *r)
{
    blanks(r);
    if (*r->p != '=')
        return fail(r, "expected '=' before", at_end(r) ? "the end of the line" : word(r));
    r->p++;
    return true;
}

static bool read_format(Reader *r, ScrtDtype *ret)
{
    if (!equals(r))
        return false;
    const char *w = word(r);
    ScrtDtype t = scrt_dtype_find(w, strlen(w));
    for (size_t i = 0; i < N_FORMAT; i++)
        if (formats[i] == t) {
            *ret = t;
            return true;
        }
    return fail(r, t ? "operands cannot be stored as" : "not a format:", w);
}

/* A word, or anything in quotes; interned. */
static bool read_text(Reader *r, const char *after, const char **ret)
{
    ScStr text = {0};
    blanks(r);
    bool ok = *r->p != '"' || sc_read_name(&r->p, &text);
    *ret = text.n > 0 ? sc_intern(r->cx, sc_str_get(&text)) : word(r);
    sc_str_free(&text);
    return (ok && **ret) || fail(r, "expected a name after", after);
}

static const char *const granularity[] = {[SC_BY_RECIPE] = "tensor",
                                          [SC_BY_TENSOR] = "tensor",
                                          [SC_BY_CHANNEL] = "channel",
                                          [SC_BY_BLOCK] = "block"};

static bool read_scale(Reader *r, ScGranularity *ret)
{
    if (!equals(r))
        return false;
    const char *w = word(r);
    for (uint32_t i = SC_BY_TENSOR; i < sizeof granularity / sizeof *granularity; i++)
        if (strcmp(w, granularity[i]) == 0) {
            *ret = (ScGranularity)i;
            return true;
        }
    return fail(r, "scale is tensor, channel or block, not", w);
}

static const char *const sources[] = {[SC_STATIC] = "static",
                                      [SC_DYNAMIC] = "dynamic",
                                      [SC_DYNAMIC_ROWS] = "dynamic-rows",
                                      [SC_DELAYED] = "delayed"};

ScSource sc_source_named(const char *name)
{
    for (uint32_t i = SC_STATIC; i < sizeof sources / sizeof *sources; i++)
        if (strcmp(name, sources[i]) == 0)
            return (ScSource)i;
    return SC_SOURCE_UNSAID;
}

static bool read_source(Reader *r, ScSource *ret)
{
    if (!equals(r))
        return false;
    const char *w = word(r);
    *ret = sc_source_named(w);
    return *ret != SC_SOURCE_UNSAID ||
           fail(r, "scales are static, dynamic, dynamic-rows or delayed, not", w);
}

static bool read_number(Reader *r, const char *key, int64_t least, int64_t most, int64_t *ret)
{
    char *end;
    if (!equals(r))
        return false;
    const char *w = word(r);
    long x = strtol(w, &end, 10);
    *ret = x;
    return (end != w && !*end && x >= least && x <= most) ||
           fail(r,
                sc_printf(sc_ctx_arena(r->cx), "%s is %lld to %lld, not", key, (long long)least,
                          (long long)most),
                w);
}

static bool read_pattern(Reader *r, const char *key, const char **ret)
{
    blanks(r);
    return *r->p == '"' ? read_text(r, key, ret)
                        : fail(r, "expected a pattern in quotes after", key);
}

static bool read_layer(Reader *r, ScRecipeRule *ret)
{
    *ret = (ScRecipeRule){.operand = {SCRT_DTYPE_NONE, SCRT_DTYPE_NONE}};
    if (!read_pattern(r, "layer", &ret->pattern))
        return false;
    while (!at_end(r)) {
        const char *key = word(r);
        bool activation = strcmp(key, "activation") == 0, scale = strcmp(key, "scale") == 0;
        bool source = strcmp(key, "scales") == 0;
        if (!activation && !scale && !source && strcmp(key, "weight") != 0)
            return fail(r, "a layer has activation, weight, scale and scales, not", key);
        if (source  ? !read_source(r, &ret->source)
            : scale ? !read_scale(r, &ret->scale)
                    : !read_format(r, &ret->operand[activation ? 0 : 1]))
            return false;
    }
    return true;
}

static bool read_site(Reader *r, ScRecipeRule *ret)
{
    ScrtDtype t;
    *ret = (ScRecipeRule){.site = true};
    if (!read_pattern(r, "site", &ret->pattern))
        return false;
    const char *key = word(r);
    if (strcmp(key, "format") != 0)
        return fail(r, "a site has format, not", key);
    if (!read_format(r, &t))
        return false;
    ret->operand[0] = ret->operand[1] = t;
    return scrt_dtype_bits(t) >= 8 ||
           fail(r, "a site is not by blocks, as is asked of", scrt_dtype_name(t));
}

typedef struct Draft { /* a recipe while its file is read */
    ScRecipe r;
    ScRecipeRule *rule;
    const char **rescale;
    uint32_t cap_rule, cap_rescale;
} Draft;

static bool read_round(Reader *r, bool *ret_down)
{
    if (!equals(r))
        return false;
    const char *w = word(r);
    *ret_down = strcmp(w, "down") == 0;
    return *ret_down || strcmp(w, "growth") == 0 || fail(r, "round is growth or down, not", w);
}

static bool read_bias(Reader *r, bool *ret_keep)
{
    if (!equals(r))
        return false;
    const char *w = word(r);
    *ret_keep = strcmp(w, "kept") == 0;
    return *ret_keep || strcmp(w, "corrected") == 0 || fail(r, "bias is corrected or kept, not", w);
}

static bool read_cache(Reader *r, ScrtDtype *ret)
{
    ScrtDtype t;
    if (!read_format(r, &t))
        return false;
    *ret = t == SCRT_F32 ? SCRT_DTYPE_NONE : t;
    return scrt_dtype_bits(t) >= 8 ||
           fail(r, "a cache is not by blocks, as is asked of", scrt_dtype_name(t));
}

static const struct {
    const char *name;
    uint32_t bits;
} rows[] = {{"i8", 8}, {"i16", 16}, {"f32", 0}};
#define N_ROWS (sizeof rows / sizeof *rows)

static bool read_rows(Reader *r, uint32_t *ret)
{
    if (!equals(r))
        return false;
    const char *w = word(r);
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(w, rows[i].name) == 0) {
            *ret = rows[i].bits;
            return true;
        }
    return fail(r, "rows are i8, i16 or f32, not", w);
}

static bool read_setting(Reader *r, const char *key, Draft *d)
{
    if (strcmp(key, "name") == 0)
        return equals(r) && read_text(r, "name", &d->r.name);
    if (strcmp(key, "activation") == 0)
        return read_format(r, &d->r.activation);
    if (strcmp(key, "weight") == 0)
        return read_format(r, &d->r.weight);
    if (strcmp(key, "scale") == 0)
        return read_scale(r, &d->r.scale);
    if (strcmp(key, "scales") == 0)
        return read_source(r, &d->r.source);
    if (strcmp(key, "window") == 0)
        return read_number(r, key, 1, MOST_WINDOW, &d->r.window);
    if (strcmp(key, "margin") == 0)
        return read_number(r, key, 0, MOST_MARGIN, &d->r.margin);
    if (strcmp(key, "round") == 0)
        return read_round(r, &d->r.round_down);
    if (strcmp(key, "bias") == 0)
        return read_bias(r, &d->r.keep_bias);
    if (strcmp(key, "cache") == 0)
        return read_cache(r, &d->r.cache);
    if (strcmp(key, "rows") == 0)
        return read_rows(r, &d->r.row_bits);
    return fail(r, "not a setting of recipes:", key);
}

static bool read_line(Reader *r, Draft *d)
{
    const char *key = word(r), *pattern;
    ScRecipeRule one;
    bool site = strcmp(key, "site") == 0;
    if (site || strcmp(key, "layer") == 0) {
        if (!(site ? read_site(r, &one) : read_layer(r, &one)))
            return false;
        sc_buf_push(d->rule, d->r.n_rule, d->cap_rule, one);
    } else if (strcmp(key, "rescale") == 0) {
        if (!read_pattern(r, key, &pattern))
            return false;
        sc_buf_push(d->rescale, d->r.n_rescale, d->cap_rescale, pattern);
    } else if (!read_setting(r, key, d)) {
        return false;
    }
    return at_end(r) || fail(r, "more than expected after", key);
}

/* Formats of fewer than 8 bits have too short a range for a scale that more than a block shares. */
static bool check_small(ScCtx *cx, const char *file, const ScRecipe *r, const ScRecipeRule *rule)
{
    ScrtDtype t[2] = {r->activation, r->weight};
    ScGranularity scale = r->scale;
    for (uint32_t k = 0; rule && k < 2; k++)
        t[k] = rule->operand[k] != SCRT_DTYPE_NONE ? rule->operand[k] : t[k];
    if (rule && rule->scale != SC_BY_RECIPE)
        scale = rule->scale;
    for (uint32_t k = 0; k < 2; k++)
        if (scrt_dtype_bits(t[k]) < 8 && (scale != SC_BY_BLOCK || k == 0))
            return sc_fail_file(cx, file, SC_E_RECIPE, "%s is for weights with scale block",
                                scrt_dtype_name(t[k]));
    return true;
}

static const ScRecipe *parse(ScCtx *cx, const char *file, const char *text)
{
    Reader r = {.cx = cx, .file = sc_intern(cx, file), .p = text, .line = 1};
    ScArena *a = sc_ctx_arena(cx);
    Draft d = {.r = {.name = r.file,
                     .activation = SCRT_F32,
                     .weight = SCRT_F32,
                     .row_bits = ROW_BITS,
                     .window = WINDOW,
                     .margin = MARGIN}};
    bool ok = true;
    for (; ok && *r.p; r.line++) {
        if (!at_end(&r))
            ok = read_line(&r, &d);
        while (*r.p && *r.p != '\n')
            r.p++;
        r.p += *r.p == '\n';
    }
    if (ok && d.r.n_rule > 0)
        d.r.rule = sc_memdup(a, d.rule, d.r.n_rule * sizeof *d.rule);
    if (ok && d.r.n_rescale > 0)
        d.r.rescale = sc_memdup(a, d.rescale, d.r.n_rescale * sizeof *d.rescale);
    ok = ok && check_small(cx, r.file, &d.r, NULL);
    for (uint32_t i = 0; ok && i < d.r.n_rule; i++)
        ok = d.rule[i].site || check_small(cx, r.file, &d.r, &d.rule[i]);
    sc_buf_free(d.rule);
    sc_buf_free(d.rescale);
    return ok ? sc_memdup(a, &d.r, sizeof d.r) : NULL;
}

/* Files are read once a session: a program is made by what it says of itself. */
typedef struct Known {
    const char *path; /* interned */
    const ScRecipe *r;
    struct Known *next;
} Known;

static const ScRecipe *read_file(ScCtx *cx, const char *path)
{
    static const char key;
    Known **first = sc_ctx_slot(cx, &key, sizeof(Known *));
    ScrtFile file;
    ScrtIoError why;
    path = sc_intern(cx, path);
    for (const Known *k = *first; k; k = k->next)
        if (k->path == path)
            return k->r;
    if (scrt_file_open(path, MAX_FILE, &file, &why) != SCRT_OK) {
        sc_fail_file(cx, NULL, SC_E_RECIPE, "no recipe is called '%s', and as a file: %s", path,
                     why.text);
        sc_note(cx,
                "recipes are f32, f16, bf16, fp8, fp8-weights, mxfp8, mxfp6, mxfp4-weights, or a "
                "file");
        return NULL;
    }
    sc_note_read(cx, path, file.device, file.inode);
    const ScRecipe *r = parse(cx, path, (const char *)file.data);
    scrt_file_close(&file);
    if (r)
        *first = sc_memdup(sc_ctx_arena(cx), &(Known){path, r, *first}, sizeof(Known));
    return r;
}

const ScRecipe *sc_recipe(ScCtx *cx, const char *name_or_path)
{
    for (size_t i = 0; i < N_BUILTIN; i++)
        if (strcmp(builtin[i].name, name_or_path) == 0)
            return &builtin[i];
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strcmp(later[i][0], name_or_path) == 0) {
            sc_fail_file(cx, NULL, SC_E_RECIPE, "%s %s", later[i][0], later[i][1]);
            return NULL;
        }
    return read_file(cx, name_or_path);
}

static bool is_low(ScrtDtype t)
{
    return t != SCRT_DTYPE_NONE && scrt_format(t)->exp_bits < 8;
}

bool sc_recipe_stores_low(const ScRecipe *r)
{
    bool low = is_low(r->activation) || is_low(r->cache);
    for (uint32_t i = 0; i < r->n_rule; i++)
        low = low || is_low(r->rule[i].operand[0]);
    return low;
}

bool sc_recipe_is_static(const ScRecipe *r, ScSource source)
{
    ScSource all = source ? source : r->source;
    bool any = all != SC_DYNAMIC && all != SC_DYNAMIC_ROWS;
    for (uint32_t i = 0; i < r->n_rule; i++)
        any = any || r->rule[i].source == SC_STATIC || r->rule[i].source == SC_DELAYED;
    return any;
}

bool sc_is_named(const ScNode *n, const char *pattern)
{
    bool named = false;
    for (uint32_t k = 0; n->loc && k < n->loc->n; k++) {
        const char *name = n->loc->origin[k].name;
        named = named || (name && fnmatch(pattern, name, 0) == 0);
    }
    return named;
}

/* Whether operand i of n may be stored low, and is called so, at whatever exponent. */
static bool is_site(const ScGraph *g, const ScNode *n, uint32_t i, const char *pattern)
{
    ScVal v = n->in[i];
    if (v == SC_ABSENT || !((n->op->quantizable | n->op->storable) >> i & 1))
        return false;
    while (!g->value[v].name && (sc_def(g, v)->op->flags & SC_REBALANCES))
        v = sc_def(g, v)->in[0];
    return g->value[v].name && fnmatch(pattern, g->value[v].name, 0) == 0;
}

static bool is_constant(const ScGraph *g, ScVal v)
{
    return v != SC_ABSENT && (sc_def(g, v)->op->flags & SC_CONST_OP);
}

ScSite sc_site(const ScPassEnv *env, const ScGraph *g, const ScNode *n, bool *met)
{
    const ScRecipe *r = env->recipe;
    ScSite site = {.source = SC_SOURCE_UNSAID};
    bool by_name[SC_MAX_IN] = {false}, matches;
    uint32_t n_in = n->n_in < SC_MAX_IN ? n->n_in : SC_MAX_IN;
    for (uint32_t o = 0; o < n_in; o++)
        site.operand[o] = !r ? SCRT_F32 : is_constant(g, n->in[o]) ? r->weight : r->activation;
    if (!r)
        return site;
    site.scale = r->scale;
    site.source = env->source ? env->source : r->source;
    for (uint32_t i = 0; i < r->n_rule; i++) {
        const ScRecipeRule *rule = &r->rule[i];
        bool named = !rule->site && sc_is_named(n, rule->pattern);
        for (uint32_t o = 0; o < n_in; o++) {
            matches = rule->site ? is_site(g, n, o, rule->pattern) : named && !by_name[o];
            ScrtDtype t = rule->operand[is_constant(g, n->in[o])];
            by_name[o] = by_name[o] || (rule->site && matches);
            if (matches && t != SCRT_DTYPE_NONE)
                site.operand[o] = t;
            if (matches && met)
                met[i] = true;
        }
        if (named && rule->scale != SC_BY_RECIPE)
            site.scale = rule->scale;
        if (named && rule->source != SC_SOURCE_UNSAID)
            site.source = rule->source;
    }
    return site;
}

void sc_recipe_use_begin(const ScRecipe *r, ScRecipeUse *ret)
{
    *ret = (ScRecipeUse){.rule = sc_calloc(r->n_rule + 1, sizeof *ret->rule),
                         .rescale = sc_calloc(r->n_rescale + 1, sizeof *ret->rescale)};
}

void sc_recipe_use_end(ScCtx *cx, const ScRecipe *r, ScRecipeUse *use)
{
    for (uint32_t i = 0; use->scaled && i < r->n_rescale; i++)
        if (!use->rescale[i])
            sc_warn(cx, NULL, SC_E_RECIPE,
                    "rescale \"%s\" of recipe %s: no node has such a name and a result that may "
                    "have any exponent",
                    r->rescale[i], r->name);
    if (use->stored && r->cache != SCRT_DTYPE_NONE && !use->caches)
        sc_warn(cx, NULL, SC_E_RECIPE,
                "cache = %s of recipe %s: no state grows by what is appended to it, of wider "
                "numbers than these",
                scrt_dtype_name(r->cache), r->name);
    for (uint32_t i = 0; use->stored && i < r->n_rule; i++)
        if (!use->rule[i])
            sc_warn(
                cx, NULL, SC_E_RECIPE,
                r->rule[i].site
                    ? "site \"%s\" of recipe %s: nothing that could be stored low has such a name"
                    : "layer \"%s\" of recipe %s: no node with operands that could be stored low "
                      "has such a name",
                r->rule[i].pattern, r->name);
    free(use->rule);
    free(use->rescale);
    *use = (ScRecipeUse){0};
}

bool sc_recipe_is_plain(const ScRecipe *r)
{
    return r->n_rule == 0 && r->n_rescale == 0 && r->activation == SCRT_F32 &&
           r->weight == SCRT_F32 && r->cache == SCRT_DTYPE_NONE;
}

void sc_recipe_print(const ScRecipe *r, ScStr *out)
{
    sc_str_add(out, "name = ");
    if (is_word(r->name))
        sc_str_add(out, r->name);
    else
        sc_str_quote(out, r->name);
    sc_str_addf(out, "\nactivation = %s\nweight = %s\nscale = %s\n", scrt_dtype_name(r->activation),
                scrt_dtype_name(r->weight), granularity[r->scale]);
    if (r->source != SC_SOURCE_UNSAID)
        sc_str_addf(out, "scales = %s\n", sources[r->source]);
    if (r->window != WINDOW || r->margin != MARGIN)
        sc_str_addf(out, "window = %lld\nmargin = %lld\n", (long long)r->window,
                    (long long)r->margin);
    sc_str_addf(out, "round = %s\n", r->round_down ? "down" : "growth");
    if (r->keep_bias)
        sc_str_add(out, "bias = kept\n");
    if (r->cache != SCRT_DTYPE_NONE)
        sc_str_addf(out, "cache = %s\n", scrt_dtype_name(r->cache));
    for (size_t i = 0; i < N_ROWS && r->row_bits != ROW_BITS; i++)
        if (rows[i].bits == r->row_bits)
            sc_str_addf(out, "rows = %s\n", rows[i].name);
    for (uint32_t i = 0; i < r->n_rescale; i++) {
        sc_str_add(out, "rescale ");
        sc_str_quote(out, r->rescale[i]);
        sc_str_add(out, "\n");
    }
    for (uint32_t i = 0; i < r->n_rule; i++) {
        sc_str_add(out, r->rule[i].site ? "site " : "layer ");
        sc_str_quote(out, r->rule[i].pattern);
        if (r->rule[i].site) {
            sc_str_addf(out, " format=%s\n", scrt_dtype_name(r->rule[i].operand[0]));
            continue;
        }
        if (r->rule[i].operand[0] != SCRT_DTYPE_NONE)
            sc_str_addf(out, " activation=%s", scrt_dtype_name(r->rule[i].operand[0]));
        if (r->rule[i].operand[1] != SCRT_DTYPE_NONE)
            sc_str_addf(out, " weight=%s", scrt_dtype_name(r->rule[i].operand[1]));
        if (r->rule[i].scale != SC_BY_RECIPE)
            sc_str_addf(out, " scale=%s", granularity[r->rule[i].scale]);
        if (r->rule[i].source != SC_SOURCE_UNSAID)
            sc_str_addf(out, " scales=%s", sources[r->rule[i].source]);
        sc_str_add(out, "\n");
    }
}
