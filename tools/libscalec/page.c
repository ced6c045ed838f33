/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of HTML with JSON in them, which draw, search and explain it; all that they show is there.
 * page.html is a graph's, sheet.html that of a check; head.html is what they share. */
#include "tools/libscalec/rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char page[] =
#include "page.inc"
    ;
static const char sheet[] =
#include "sheet.inc"
    ;
static const char marker[] = "@DATA@";

typedef struct Page {
    const ScGraph *g;
    const char *const *label;
    ScUses use;
    ScWhySteps *why;
    const Rounding *rounding; /* [g->n_value] */
    ScStr s;
} Page;

static void string(Page *p, const char *key, const char *text)
{
    sc_str_addf(&p->s, "\"%s\":", key);
    sc_str_json(&p->s, text);
    sc_str_add(&p->s, ",");
}

/* A printed name without its quotes. */
static void name(Page *p, const char *key, const char *label)
{
    ScStr s = {0};
    const char *at = label;
    bool quoted = *label == '"' && sc_read_name(&at, &s);
    sc_str_add(&s, quoted ? at : "");
    string(p, key, quoted ? sc_str_get(&s) : label);
    sc_str_free(&s);
}

static void list(Page *p, const char *key, uint32_t n, const ScVal *v)
{
    sc_str_addf(&p->s, "\"%s\":[", key);
    for (uint32_t i = 0; i < n; i++)
        sc_str_addf(&p->s, "%s%lld", i ? "," : "",
                    v[i] < SC_FIRST ? -1 : (long long)v[i] - SC_FIRST);
    sc_str_add(&p->s, "],");
}

static void exponent(Page *p, const ScTerm *e)
{
    ScStr s = {0};
    if (e)
        sc_term_print(e, &s);
    if (e)
        string(p, "e", sc_str_get(&s));
    else
        sc_str_add(&p->s, "\"e\":null,");
    sc_str_free(&s);
}

/* Each line of the derivation, and the values that the next ones are of. */
static void derivation(Page *p, ScVal v)
{
    ScStr s = {0};
    ScVal *from = NULL;
    uint32_t n = p->g->value[v].exp ? sc_why_step(p->why, v, &s, &from) : 0;
    string(p, "why", sc_str_get(&s));
    list(p, "by", n, from);
    sc_str_free(&s);
}

static void value(Page *p, ScVal v)
{
    const ScValue *x = &p->g->value[v];
    ScStr type = {0};
    bool low = scrt_dtype_is_low(x->type->dtype);
    sc_type_print(x->type, &type);
    sc_str_add(&p->s, v == SC_FIRST ? "\n{" : ",\n{");
    name(p, "n", p->label[v]);
    string(p, "t", sc_str_get(&type));
    exponent(p, x->exp);
    sc_str_addf(&p->s, "\"low\":%s,\"node\":%u,", low ? "true" : "false", x->node);
    if (x->g != SC_NO_G)
        sc_str_addf(&p->s, "\"g\":%.2f,", x->g / 256.0);
    if (x->amax > 0)
        sc_str_addf(&p->s, "\"amax\":%.4g,", (double)x->amax);
    if (!isnan(p->rounding[v].db))
        sc_str_addf(&p->s, "\"db\":%.1f,\"measured\":%s,", fmax(fmin(p->rounding[v].db, 999), -999),
                    p->rounding[v].measured ? "true" : "false");
    derivation(p, v);
    sc_str_add(&p->s, "\"users\":[");
    const char *comma = "";
    for (uint32_t i = p->use.first[v]; i < p->use.first[v + 1]; i++)
        if (p->use.use[i].node != UINT32_MAX) {
            sc_str_addf(&p->s, "%s%u", comma, p->use.use[i].node);
            comma = ",";
        }
    sc_str_add(&p->s, "]}");
    sc_str_free(&type);
}

static void attributes(Page *p, const ScNode *n)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < n->op->n_attr; i++) {
        if (n->attr[i].kind == SC_A_NONE || n->attr[i].kind == SC_A_BLOB)
            continue;
        sc_str_addf(&s, "%s%s = ", s.n ? ", " : "", n->op->attr[i].name);
        sc_attr_print(&n->attr[i], &s);
    }
    string(p, "attrs", sc_str_get(&s));
    sc_str_free(&s);
}

static void nested(Page *p, const ScNode *n)
{
    ScStr s = {0};
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        sc_print(n->sub[i], SC_PRINT_COMMENTS, &s);
    string(p, "text", sc_str_get(&s));
    sc_str_free(&s);
}

static void node(Page *p, uint32_t i)
{
    const ScNode *n = &p->g->node[i];
    sc_str_add(&p->s, i ? ",\n{" : "\n{");
    string(p, "op", n->op->name);
    string(p, "doc", n->op->doc);
    string(p, "sig", n->op->scale ? n->op->scale : "");
    sc_str_add(&p->s, "\"from\":[");
    for (uint32_t k = 0; k < n->loc->n; k++) {
        sc_str_add(&p->s, k ? "," : "");
        sc_str_json(&p->s, n->loc->origin[k].name ? n->loc->origin[k].name : "");
    }
    sc_str_addf(&p->s, "],\"moves\":%s,", n->op->flags & SC_REBALANCES ? "true" : "false");
    list(p, "in", n->n_in, n->in);
    attributes(p, n);
    nested(p, n);
    sc_str_add(&p->s, "\"out\":[");
    for (uint32_t k = 0; k < n->n_out; k++)
        sc_str_addf(&p->s, "%s%u", k ? "," : "", n->first + k - SC_FIRST);
    sc_str_add(&p->s, "]}");
}

/* Lines "label: text" as pairs. */
static void totals(Page *p)
{
    ScStr text = {0};
    scalec_totals(p->g, &text);
    sc_str_add(&p->s, "\"totals\":[");
    for (const char *at = sc_str_get(&text); *at;) {
        size_t all = strcspn(at, "\n"), label = strcspn(at, ":");
        char *pair[] = {strndup(at, label), strndup(at + label + 2, all - label - 2)};
        sc_str_add(&p->s, at == text.s ? "[" : ",[");
        sc_str_json(&p->s, pair[0] ? pair[0] : "");
        sc_str_add(&p->s, ",");
        sc_str_json(&p->s, pair[1] ? pair[1] : "");
        sc_str_add(&p->s, "]");
        free(pair[0]);
        free(pair[1]);
        at += all + (at[all] == '\n');
    }
    sc_str_add(&p->s, "],");
    sc_str_free(&text);
}

/* The colours of rounding, the best first, and that of what is not known. */
static void colours(Page *p)
{
    sc_str_add(&p->s, "\"colours\":[");
    for (uint32_t i = 0; i < ROUNDING_STEPS; i++)
        sc_str_addf(&p->s, "[%g,\"%s\"],", fmax(rounding_step[i].from, -999),
                    rounding_step[i].colour);
    sc_str_add(&p->s, "[null,\"" ROUNDING_UNKNOWN "\"]],");
}

/* What ends a script element must not stand in one. */
static void add_escaped(ScStr *to, const char *json)
{
    for (; *json; json++)
        if (*json == '<')
            sc_str_add(to, "\\u003c");
        else
            sc_str_addn(to, json, 1);
}

static bool write_page(ScCtx *cx, const char *html, const char *json, const char *path)
{
    const char *at = strstr(html, marker);
    ScStr out = {0};
    sc_str_addn(&out, html, (size_t)(at - html));
    add_escaped(&out, json);
    sc_str_add(&out, at + sizeof marker - 1);
    bool ok = scalec_write_file(cx, path, sc_str_get(&out), out.n);
    sc_str_free(&out);
    return ok;
}

bool scalec_write_sheet(ScCtx *cx, const char *json, const char *path)
{
    return write_page(cx, sheet, json, path);
}

bool scalec_write_html(ScCtx *cx, const ScGraph *g, const ScReport *r, uint32_t n, const char *path)
{
    ScArena *a = sc_arena_new();
    Page p = {g, sc_labels(g, a), sc_uses(g, a), sc_why_begin(g), rounding_of(g, r, n, a), {0}};
    sc_str_add(&p.s, "{");
    string(&p, "title", g->name ? g->name : "graph");
    totals(&p);
    colours(&p);
    sc_str_add(&p.s, "\"nodes\":[");
    for (uint32_t i = 0; i < g->n_node; i++)
        node(&p, i);
    sc_str_add(&p.s, "],\n\"values\":[");
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        value(&p, v);
    sc_str_add(&p.s, "]}");
    bool ok = write_page(cx, page, sc_str_get(&p.s), path);
    sc_str_free(&p.s);
    sc_why_end(p.why);
    sc_arena_free(a);
    return ok;
}
