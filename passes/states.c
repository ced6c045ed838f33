/* SPDX-License-Identifier: Apache-2.0 */
/* Exported pairs become states: a model that is asked token by token takes its cache as an input
 * and gives the next one as an output. As a state it stays in the program. */
#include "passes/passes_priv.h"

#include <string.h>

typedef struct States {
    ScCtx *cx;
    const ScGraph *g;
    ScArena *a;
    ScSymbols inputs;   /* by name */
    uint32_t *next;     /* [n_in] 1 + the output that is the input's next value; 0: an input */
    bool *is_next;      /* [n_out] */
    const char **grows; /* [n_in] */
    uint32_t *follows;  /* [n_state] 1 + the output that is its next value; 0: as it was */
} States;

/* The text that `*` stands for where name fits the pattern, in a; else NULL. Without one: "". */
static const char *star(ScArena *a, const char *pattern, const char *name)
{
    const char *s = strchr(pattern, '*');
    if (!s)
        return strcmp(pattern, name) ? NULL : "";
    size_t before = (size_t)(s - pattern), after = strlen(s + 1), n = strlen(name);
    if (n < before + after || strncmp(pattern, name, before) != 0 ||
        strcmp(name + n - after, s + 1) != 0)
        return NULL;
    return sc_printf(a, "%.*s", (int)(n - before - after), name + before);
}

static const char *filled(ScCtx *cx, ScArena *a, const char *pattern, const char *text)
{
    const char *s = strchr(pattern, '*');
    return sc_intern(cx, s ? sc_printf(a, "%.*s%s%s", (int)(s - pattern), pattern, text, s + 1)
                           : pattern);
}

static const char *type_text(ScArena *a, const ScType *t)
{
    ScStr s = {0};
    sc_type_print(t, &s);
    return sc_str_keep(&s, a);
}

/* The one dim in which the next value's type differs, if it may: a symbol alone in that of the
 * present one, which the state then binds. */
static bool find_growth(States *x, uint32_t in, const ScType *past, const ScType *next)
{
    if (past->rank != next->rank)
        return false;
    for (uint32_t d = 0; d < past->rank; d++) {
        if (past->dim[d] == next->dim[d])
            continue;
        if (x->grows[in] || past->dim[d]->kind != SC_T_SYM)
            return false;
        x->grows[in] = past->dim[d]->sym;
    }
    ScState s = {.grows = x->grows[in], .capacity = 1};
    return sc_state_takes(&s, past, next);
}

/* The state of this name that is its own next value; n_state where there is none. */
static uint32_t kept_state(const ScGraph *g, const char *name)
{
    for (uint32_t i = 0; i < g->n_state; i++)
        if (g->state[i].name == name && g->state[i].next == g->state[i].past)
            return i;
    return g->n_state;
}

/* Output `out` is the next value, *next, of the input of this name and type; takes: it may be. */
static bool add_next(States *x, uint32_t out, const char *name, const ScType *past, bool takes,
                     uint32_t *next)
{
    const ScGraph *g = x->g;
    ScVal v = g->out[out];
    if (*next)
        return sc_fail(x->cx, NULL, SC_E_STATE,
                       "input \"%s\" has two next values, \"%s\" and \"%s\"", name,
                       g->out_name[*next - 1], g->out_name[out]);
    if (!takes)
        return sc_fail(x->cx, sc_def(g, v)->loc, SC_E_STATE,
                       "output \"%s\", %s, is no next value of input \"%s\", %s", g->out_name[out],
                       type_text(x->a, sc_type_of(g, v)), name, type_text(x->a, past));
    *next = out + 1;
    x->is_next[out] = true;
    return true;
}

/* Output `out` is the next value of what has this name: an input, or the state that an input became
 * when the model was read. */
static bool add_pair(States *x, uint32_t out, const char *name)
{
    const ScGraph *g = x->g;
    const ScType *next = sc_type_of(g, g->out[out]), *past;
    uint32_t state = kept_state(g, name), in;
    if (state < g->n_state) {
        const ScState *s = &g->state[state];
        past = sc_type_of(g, s->past);
        return add_next(x, out, name, past, sc_state_takes(s, past, next), &x->follows[state]);
    }
    if (!sc_symbols_find(&x->inputs, name, &in))
        return sc_fail(x->cx, NULL, SC_E_STATE, "there is no input \"%s\" for output \"%s\"", name,
                       g->out_name[out]);
    past = sc_type_of(g, g->in[in]);
    return add_next(x, out, name, past, find_growth(x, in, past, next), &x->next[in]);
}

static bool apply(States *x, const ScStateRule *r)
{
    const ScGraph *g = x->g;
    uint32_t found = 0;
    for (uint32_t i = 0; i < g->n_out; i++) {
        const char *text = g->out_name[i] ? star(x->a, r->out, g->out_name[i]) : NULL;
        if (!text)
            continue;
        found++;
        if (!add_pair(x, i, filled(x->cx, x->a, r->in, text)))
            return false;
    }
    return found || sc_fail(x->cx, NULL, SC_E_STATE, "there is no output \"%s\"", r->out);
}

static ScGraph *rebuild(States *x, int64_t capacity)
{
    const ScGraph *g = x->g;
    ScBuild b;
    ScVal *env = sc_array(x->a, ScVal, g->n_value);
    env[SC_ABSENT] = SC_ABSENT;
    sc_build_init(&b, x->cx, g->name, g->file);
    sc_build_flags(&b, g->flags);
    if (g->source)
        sc_build_source(&b, g->source);
    for (int states = 0; states < 2; states++) /* in this order a graph has them */
        for (uint32_t i = 0; i < g->n_in; i++) {
            const ScValue *v = &g->value[g->in[i]];
            b.at = sc_def(g, g->in[i])->loc;
            if (!x->next[i] && !states) {
                env[g->in[i]] = sc_input(&b, v->name, v->type, v->exp);
            } else if (x->next[i] && states) {
                env[g->in[i]] = sc_state(&b, v->name, v->type, v->exp, NULL);
                sc_set_name(&b, env[g->in[i]], v->name);
                if (x->grows[i])
                    sc_state_grows(&b, env[g->in[i]], x->grows[i], capacity);
            }
        }
    for (uint32_t i = 0; i < g->n_state; i++) {
        ScState s = g->state[i];
        const ScValue *v = &g->value[s.past];
        b.at = sc_def(g, s.past)->loc;
        if (x->follows[i] && s.grows)
            s.capacity = capacity;
        env[s.past] = sc_state_like(&b, &s, v->type, v->exp);
        sc_set_name(&b, env[s.past], v->name);
    }
    for (uint32_t i = 0; i < g->n_guard; i++)
        sc_build_guard(&b, &g->guard[i]);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        ScVal *in = sc_array(x->a, ScVal, n->n_in + 1);
        for (uint32_t k = 0; k < n->n_in; k++)
            in[k] = env[n->in[k]];
        if (!env[n->first])
            sc_copy_node(&b, g, n, in, &env[n->first]);
    }
    for (uint32_t i = 0; i < g->n_in; i++)
        if (x->next[i])
            sc_state_next(&b, env[g->in[i]], env[g->out[x->next[i] - 1]]);
    for (uint32_t i = 0; i < g->n_state; i++)
        sc_state_next(&b, env[g->state[i].past],
                      env[x->follows[i] ? g->out[x->follows[i] - 1] : g->state[i].next]);
    for (uint32_t i = 0; i < g->n_out; i++)
        if (!x->is_next[i])
            sc_output(&b, g->out_name[i], env[g->out[i]]);
    return sc_build_end(&b);
}

bool sc_state_rule_applies(const ScGraph *g, const ScStateRule *r)
{
    ScArena *a = sc_arena_new();
    bool any = false;
    for (uint32_t i = 0; i < g->n_out && !any; i++)
        any = g->out_name[i] && star(a, r->out, g->out_name[i]);
    sc_arena_free(a);
    return any;
}

const char *sc_state_rule_past(ScCtx *cx, const ScStateRule *r, const char *out)
{
    ScArena *a = sc_arena_new();
    const char *text = star(a, r->out, out), *past = text ? filled(cx, a, r->in, text) : NULL;
    sc_arena_free(a);
    return past;
}

ScGraph *sc_make_states(ScCtx *cx, const ScGraph *g, uint32_t n, const ScStateRule *rule,
                        int64_t capacity)
{
    States x = {.cx = cx, .g = g, .a = sc_arena_new()};
    x.next = sc_array(x.a, uint32_t, g->n_in + 1);
    x.grows = sc_array(x.a, const char *, g->n_in + 1);
    x.follows = sc_array(x.a, uint32_t, g->n_state + 1);
    x.is_next = sc_array(x.a, bool, g->n_out + 1);
    bool ok = true;
    for (uint32_t i = 0; i < g->n_in; i++)
        if (g->value[g->in[i]].name)
            sc_symbols_add(&x.inputs, x.a, g->value[g->in[i]].name, i);
    for (uint32_t i = 0; i < n && ok; i++)
        ok = apply(&x, &rule[i]);
    ScGraph *ret = ok ? rebuild(&x, capacity) : NULL;
    sc_arena_free(x.a);
    return ret;
}
