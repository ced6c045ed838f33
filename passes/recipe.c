/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes: which operands are stored in which format. The built-in ones are rows of a table; a file
 * says the same in lines, `;` begins a comment:
 *
 *   name = careful
 *   activation = f8e4m3fn
 *   weight = f8e4m3fn
 *   scale = channel                        or tensor, or block
 *   round = growth
 *   layer "head.*" activation=f32 weight=f32 scale=tensor
 *
 * A layer's pattern is a shell pattern over ONNX node names; the last line that matches wins. */
#include "passes/scale_priv.h"
#include "runtime/scrtio.h"

#include <string.h>

static const ScRecipe builtin[] = {
    {.name = "f32", .activation = SCRT_F32, .weight = SCRT_F32},
    {.name = "f16", .activation = SCRT_F16, .weight = SCRT_F16},
    {.name = "bf16", .activation = SCRT_BF16, .weight = SCRT_BF16},
    {"fp8", SCRT_F8E4M3FN, SCRT_F8E4M3FN, SC_BY_CHANNEL},
    {"fp8-weights", SCRT_F32, SCRT_F8E4M3FN, SC_BY_CHANNEL},
    {"mxfp8", SCRT_F8E4M3FN, SCRT_F8E4M3FN, SC_BY_BLOCK},
    {"mxfp6", SCRT_F8E4M3FN, SCRT_F6E2M3, SC_BY_BLOCK},
    {"mxfp4-weights", SCRT_F32, SCRT_F4E2M1, SC_BY_BLOCK},
};
#define N_BUILTIN (sizeof builtin / sizeof *builtin)

/* Named in the design, not there yet: refused by name, so that nobody believes they were followed.
 */
static const char *const later[][2] = {
    {"fp8-train", "needs gradients and an optimizer, which this version does not have"},
};

static const ScrtDtype formats[] = {SCRT_F32,    SCRT_F16,    SCRT_BF16,   SCRT_F8E4M3FN,
                                    SCRT_F8E5M2, SCRT_F6E2M3, SCRT_F6E3M2, SCRT_F4E2M1};
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

static bool read_layer(Reader *r, ScRecipeRule *ret)
{
    *ret = (ScRecipeRule){.operand = {SCRT_DTYPE_NONE, SCRT_DTYPE_NONE}};
    blanks(r);
    if (*r->p != '"')
        return fail(r, "expected a pattern in quotes after", "layer");
    if (!read_text(r, "layer", &ret->pattern))
        return false;
    while (!at_end(r)) {
        const char *key = word(r);
        bool activation = strcmp(key, "activation") == 0, scale = strcmp(key, "scale") == 0;
        if (!activation && !scale && strcmp(key, "weight") != 0)
            return fail(r, "a layer has activation, weight and scale, not", key);
        if (scale ? !read_scale(r, &ret->scale)
                  : !read_format(r, &ret->operand[activation ? 0 : 1]))
            return false;
    }
    return true;
}

static bool read_line(Reader *r, ScRecipe *ret, ScRecipeRule **rule, uint32_t *cap)
{
    const char *key = word(r);
    if (strcmp(key, "name") == 0) {
        if (!equals(r) || !read_text(r, "name", &ret->name))
            return false;
    } else if (strcmp(key, "activation") == 0) {
        if (!read_format(r, &ret->activation))
            return false;
    } else if (strcmp(key, "weight") == 0) {
        if (!read_format(r, &ret->weight))
            return false;
    } else if (strcmp(key, "scale") == 0) {
        if (!read_scale(r, &ret->scale))
            return false;
    } else if (strcmp(key, "round") == 0) {
        if (!equals(r))
            return false;
        const char *w = word(r);
        ret->round_down = strcmp(w, "down") == 0;
        if (!ret->round_down && strcmp(w, "growth") != 0)
            return fail(r, "round is growth or down, not", w);
    } else if (strcmp(key, "layer") == 0) {
        ScRecipeRule one;
        if (!read_layer(r, &one))
            return false;
        sc_buf_push(*rule, ret->n_rule, *cap, one);
    } else {
        return fail(r, "not a setting of recipes:", key);
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
    ScRecipe *ret = sc_new(sc_ctx_arena(cx), ScRecipe);
    ScRecipeRule *rule = NULL;
    uint32_t cap = 0;
    bool ok = true;
    *ret = (ScRecipe){.name = r.file, .activation = SCRT_F32, .weight = SCRT_F32};
    for (; ok && *r.p; r.line++) {
        if (!at_end(&r))
            ok = read_line(&r, ret, &rule, &cap);
        while (*r.p && *r.p != '\n')
            r.p++;
        r.p += *r.p == '\n';
    }
    if (ok && ret->n_rule > 0)
        ret->rule = sc_memdup(sc_ctx_arena(cx), rule, ret->n_rule * sizeof *rule);
    ok = ok && check_small(cx, r.file, ret, NULL);
    for (uint32_t i = 0; ok && i < ret->n_rule; i++)
        ok = check_small(cx, r.file, ret, &rule[i]);
    sc_buf_free(rule);
    return ok ? ret : NULL;
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
    ScrtFile file;
    ScrtIoError why;
    if (scrt_file_open(name_or_path, MAX_FILE, &file, &why) != SCRT_OK) {
        sc_fail_file(cx, NULL, SC_E_RECIPE, "no recipe is called '%s', and as a file: %s",
                     name_or_path, why.text);
        sc_note(cx,
                "recipes are f32, f16, bf16, fp8, fp8-weights, mxfp8, mxfp6, mxfp4-weights, or a "
                "file");
        return NULL;
    }
    sc_note_read(cx, name_or_path, file.device, file.inode);
    const ScRecipe *r = parse(cx, name_or_path, (const char *)file.data);
    scrt_file_close(&file);
    return r;
}

static bool is_low(ScrtDtype t)
{
    return t != SCRT_DTYPE_NONE && scrt_format(t)->exp_bits < 8;
}

bool sc_recipe_stores_low(const ScRecipe *r)
{
    bool low = is_low(r->activation);
    for (uint32_t i = 0; i < r->n_rule; i++)
        low = low || is_low(r->rule[i].operand[0]);
    return low;
}

void sc_recipe_print(const ScRecipe *r, ScStr *out)
{
    sc_str_add(out, "name = ");
    if (is_word(r->name))
        sc_str_add(out, r->name);
    else
        sc_str_quote(out, r->name);
    sc_str_addf(out, "\nactivation = %s\nweight = %s\nscale = %s\nround = %s\n",
                scrt_dtype_name(r->activation), scrt_dtype_name(r->weight), granularity[r->scale],
                r->round_down ? "down" : "growth");
    for (uint32_t i = 0; i < r->n_rule; i++) {
        sc_str_add(out, "layer ");
        sc_str_quote(out, r->rule[i].pattern);
        if (r->rule[i].operand[0] != SCRT_DTYPE_NONE)
            sc_str_addf(out, " activation=%s", scrt_dtype_name(r->rule[i].operand[0]));
        if (r->rule[i].operand[1] != SCRT_DTYPE_NONE)
            sc_str_addf(out, " weight=%s", scrt_dtype_name(r->rule[i].operand[1]));
        if (r->rule[i].scale != SC_BY_RECIPE)
            sc_str_addf(out, " scale=%s", granularity[r->rule[i].scale]);
        sc_str_add(out, "\n");
    }
}
